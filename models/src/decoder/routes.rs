//! Which rows pass through which experts.

use crate::config::ExpertsConfig;

/// The experts of a step's rows, grouped by expert, so that each expert's weights are read once.
///
/// A row's experts and their shares depend on the row's own logits alone, and their results are added
/// in ascending order of experts; so nothing of a row depends on the others.
pub(super) struct Routes {
    config: ExpertsConfig,
    /// Expert and share, ascending, for each row. `[rows, num_experts_per_tok]`
    chosen: Vec<(usize, f32)>,
    /// Where each expert's rows begin. `[num_experts + 1]`
    starts: Vec<usize>,
    /// Rows by expert, ascending. `[rows * num_experts_per_tok]`
    rows: Vec<u32>,
    /// The share of each of these. `[rows * num_experts_per_tok]`
    shares: Vec<f32>,
}

impl Routes {
    /// None, with room for those of `max_rows` rows.
    pub(super) fn new(config: ExpertsConfig, max_rows: usize) -> Self {
        let all = max_rows * config.num_experts_per_tok;
        Self {
            config,
            chosen: Vec::with_capacity(all),
            starts: Vec::with_capacity(config.num_experts + 1),
            rows: Vec::with_capacity(all),
            shares: Vec::with_capacity(all),
        }
    }

    /// Routes the rows of `logits` `[_, num_experts]`.
    pub(super) fn choose(&mut self, logits: &[f32]) {
        self.chosen.clear();
        for logits in logits.chunks_exact(self.config.num_experts) {
            self.choose_for_row(logits);
        }
        self.group();
    }

    /// Rows that pass through `expert`, ascending, and the expert's share in each.
    pub(super) fn of(&self, expert: usize) -> (&[u32], &[f32]) {
        let range = self.starts[expert]..self.starts[expert + 1];
        (&self.rows[range.clone()], &self.shares[range])
    }

    fn choose_for_row(&mut self, logits: &[f32]) {
        let first = self.chosen.len();
        for _ in 0..self.config.num_experts_per_tok {
            let mut best: Option<(usize, f32)> = None;
            for (expert, &logit) in logits.iter().enumerate() {
                let taken = self.chosen[first..]
                    .iter()
                    .any(|&(other, _)| other == expert);
                // Of equal ones the first; a NaN is largest, so that it is seen in the result.
                let better = best.is_none_or(|(_, most)| logit.total_cmp(&most).is_gt());
                if !taken && better {
                    best = Some((expert, logit));
                }
            }
            self.chosen
                .push(best.expect("there are more experts than are chosen"));
        }
        let chosen = &mut self.chosen[first..];
        let largest = chosen[0].1;
        let total: f32 = match self.config.norm_topk_prob {
            true => chosen
                .iter()
                .map(|(_, logit)| (logit - largest).exp())
                .sum(),
            false => logits.iter().map(|logit| (logit - largest).exp()).sum(),
        };
        for (_, logit) in chosen.iter_mut() {
            *logit = (*logit - largest).exp() / total;
        }
        chosen.sort_unstable_by_key(|&(expert, _)| expert);
    }

    /// Groups the chosen by expert, by counting.
    fn group(&mut self) {
        let num_experts = self.config.num_experts;
        self.starts.clear();
        self.starts.resize(num_experts + 1, 0);
        for &(expert, _) in &self.chosen {
            self.starts[expert] += 1;
        }
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        self.rows.clear();
        self.rows.resize(self.chosen.len(), 0);
        self.shares.clear();
        self.shares.resize(self.chosen.len(), 0.0);
        let per_row = self.config.num_experts_per_tok;
        // From behind, so that every start ends up where its expert's rows begin.
        for (index, &(expert, share)) in self.chosen.iter().enumerate().rev() {
            self.starts[expert] -= 1;
            let place = self.starts[expert];
            self.rows[place] = (index / per_row) as u32;
            self.shares[place] = share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Routes;
    use crate::config::ExpertsConfig;

    /// Rows and shares of every expert.
    fn routed(
        norm_topk_prob: bool,
        per_tok: usize,
        logits: &[[f32; 4]],
    ) -> Vec<(Vec<u32>, Vec<f32>)> {
        let config = ExpertsConfig {
            num_experts: 4,
            num_experts_per_tok: per_tok,
            intermediate_size: 8,
            norm_topk_prob,
        };
        let mut routes = Routes::new(config, logits.len());
        // What an earlier step has left changes nothing.
        routes.choose(&[9.0, 8.0, 7.0, 6.0]);
        routes.choose(logits.as_flattened());
        let of = |expert| {
            let (rows, shares) = routes.of(expert);
            (rows.to_vec(), shares.to_vec())
        };
        (0..4).map(of).collect()
    }

    #[test]
    fn the_largest_are_chosen_and_grouped_by_expert() {
        // e^ln 3 = 3 and so on: shares by hand.
        let [one, three, five] = [1f32, 3.0, 5.0].map(f32::ln);
        let rows = [
            [three, one, five, -9.0],
            [five, one, -9.0, three],
            [one, five, three, -9.0],
        ];
        let got = routed(true, 2, &rows);
        let experts: Vec<&[u32]> = got.iter().map(|(rows, _)| &rows[..]).collect();
        assert_eq!(experts, [&[0, 1][..], &[2], &[0, 2], &[1]]);
        let want = [&[0.375, 0.625][..], &[0.625], &[0.625, 0.375], &[0.375]];
        for ((_, shares), want) in got.iter().zip(want) {
            for (share, want) in shares.iter().zip(want) {
                assert!((share - want).abs() < 1e-6, "{share}, expected {want}");
            }
        }
    }

    #[test]
    fn shares_of_all_are_not_made_to_add_up() {
        let [one, three, four, eight] = [1f32, 3.0, 4.0, 8.0].map(f32::ln);
        let got = routed(false, 2, &[[one, eight, three, four]]);
        assert!((got[1].1[0] - 0.5).abs() < 1e-6 && (got[3].1[0] - 0.25).abs() < 1e-6);
        assert!(got[0].0.is_empty() && got[2].0.is_empty());
    }

    #[test]
    fn of_equal_logits_the_first_are_taken() {
        let got = routed(true, 3, &[[1.0; 4]]);
        let rows: Vec<usize> = got.iter().map(|(rows, _)| rows.len()).collect();
        assert_eq!(rows, [1, 1, 1, 0]);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let got = routed(true, 1, &[[1.0, f32::NAN, 2.0, 0.0]]);
        assert!(got[1].1[0].is_nan());
    }
}
