//! Tokens drawn where their logits are.

use kernels::{
    ActivationDtype, Backend, DRAWN_BEFORE, Draw, DrawnToken, Embed, NO_TOKEN, ReadDrawn, Sample,
    WeightDtype, WeightFormat, WeightView,
};

use crate::fixture::{Rng, assert_same_bits, download, poisoned, upload};

fn sample<B: Backend>(
    backend: &mut B,
    rows: &[Vec<f32>],
    draws: &[Option<Draw>],
) -> (Vec<Option<DrawnToken>>, Vec<f32>) {
    let logits = upload(backend, &rows.concat(), rows[0].len());
    // What was there before is replaced.
    let (mut drawn, mut host) = (vec![None; 3], vec![f32::NAN; 5]);
    begin(backend, &logits, draws);
    read(backend, &logits, draws, (&mut drawn, &mut host));
    assert_eq!(drawn.len(), draws.len());
    (drawn, host)
}

fn begin<B: Backend>(backend: &mut B, logits: &B::Buffer, draws: &[Option<Draw>]) {
    assert!(backend.sample(Sample { logits, draws }).unwrap());
}

fn read<B: Backend>(
    backend: &mut B,
    logits: &B::Buffer,
    draws: &[Option<Draw>],
    (drawn, host): (&mut Vec<Option<DrawnToken>>, &mut Vec<f32>),
) {
    let op = ReadDrawn {
        logits,
        draws,
        drawn,
        host,
    };
    backend.read_drawn(op).unwrap();
}

/// Ties, numbers that are none, infinities, rows shorter than a block and much longer.
pub(crate) fn likeliest_tokens_are_found<B: Backend>(
    backend: &mut dyn FnMut(ActivationDtype) -> B,
) {
    let mut backend = backend(ActivationDtype::F32);
    let mut rng = Rng::new(73);
    for cols in [1, 3, 33, 1024, 5000] {
        let mut rows: Vec<Vec<f32>> = (0..7).map(|_| rng.floats(cols)).collect();
        rows[1].fill(-3.0);
        rows[2][0] = f32::NAN;
        rows[3].fill(f32::NAN);
        rows[4][cols / 2] = f32::INFINITY;
        rows[5].fill(f32::NEG_INFINITY);
        rows[6][cols - 1] = 2.0;
        let draws = [Some(Draw::LIKELIEST); 7];
        let (drawn, _) = sample(&mut backend, &rows, &draws);
        let got = drawn.into_iter().map(|drawn| drawn.unwrap().token);
        let want = rows.iter().map(|row| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let index = row.iter().position(|&value| value == largest);
            match index.filter(|_| largest.is_finite()) {
                Some(index) => index as u32,
                None => NO_TOKEN,
            }
        });
        assert!(got.eq(want), "{cols} columns");
    }
}

/// Rows that look like a model's, and rows that are hard to divide: many equal logits, logits that are
/// nearly equal, and some that are no numbers or impossible.
fn rows(rng: &mut Rng, cols: usize) -> Vec<Vec<f32>> {
    let peaked: Vec<f32> = rng.floats(cols).iter().map(|x| 12.0 * x.powi(5)).collect();
    let wide: Vec<f32> = rng.floats(cols).iter().map(|x| 60.0 * x).collect();
    let near: Vec<f32> = rng.floats(cols).iter().map(|x| 5.0 + 1e-3 * x).collect();
    // A few likelier ones before the many equal ones.
    let level = |index| [2.0, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5][index % 7];
    let levels = (0..cols).map(level).collect();
    let mut holes = peaked.clone();
    for _ in 0..cols / 2 {
        holes[rng.below(cols)] = f32::NEG_INFINITY;
    }
    for _ in 0..cols / 8 {
        holes[rng.below(cols)] = f32::NAN;
    }
    holes[cols / 3] = -0.0;
    vec![peaked, wide, near, vec![-7.25; cols], levels, holes]
}

/// The tokens from the likeliest to the least likely one, with their shares.
fn ranked(row: &[f32], temperature: f32) -> Vec<(u32, f64)> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let tokens = (0u32..).zip(row.iter().copied());
    let mut tokens: Vec<(u32, f32)> = tokens.filter(|(_, logit)| !logit.is_nan()).collect();
    tokens.sort_by(|a, b| (b.1 + 0.0).total_cmp(&(a.1 + 0.0)).then(a.0.cmp(&b.0)));
    let share = |logit: f32| f64::from(logit - largest) / f64::from(temperature);
    tokens
        .into_iter()
        .map(|(token, logit)| (token, share(logit).exp()))
        .collect()
}

/// How many of the ranked tokens reach `wanted`.
fn reach(ranked: &[(u32, f64)], wanted: f64) -> usize {
    let mut sum = 0.0;
    let before = ranked.iter().take_while(|(_, share)| {
        sum += share;
        sum < wanted
    });
    (before.count() + 1).min(ranked.len())
}

/// The token that the draw takes, were its limits nudged so much.
fn drawn(row: &[f32], draw: &Draw, nudge: f64) -> u32 {
    let mut ranked = ranked(row, draw.temperature);
    let is_truncated = draw.top_k.is_some_and(|k| (k as usize) < row.len()) || draw.top_p < 1.0;
    if let Some(k) = draw.top_k {
        ranked.truncate(k as usize);
    }
    let mass = |ranked: &[(u32, f64)]| ranked.iter().map(|(_, share)| share).sum::<f64>();
    if draw.top_p < 1.0 {
        let wanted = mass(&ranked) * f64::from(draw.top_p) * (1.0 + nudge);
        ranked.truncate(reach(&ranked, wanted));
    }
    let least = (f64::from(draw.min_p) * (1.0 + nudge)).min(1.0);
    ranked.retain(|(_, share)| *share >= least);
    if !is_truncated {
        ranked.sort_by_key(|(token, _)| *token);
    }
    let place = mass(&ranked) * (draw.place + nudge).max(1e-12);
    ranked[reach(&ranked, place) - 1].0
}

pub(crate) fn draws_are_those_of_f64<B: Backend>(backend: &mut dyn FnMut(ActivationDtype) -> B) {
    let mut backend = backend(ActivationDtype::F32);
    let mut rng = Rng::new(76);
    let (mut different, mut all) = (0, 0);
    for cols in [1, 2, 50, 1025, 12_000] {
        let rows = rows(&mut rng, cols);
        for _ in 0..50 {
            let draws: Vec<Draw> = rows
                .iter()
                .map(|_| Draw {
                    temperature: [1e-3, 0.7, 1.0, 8.0][rng.below(4)],
                    top_k: [None, Some(1), Some(40), Some(2500), Some(u32::MAX)][rng.below(5)],
                    top_p: [1.0, 0.95, 0.95, 0.5, 1e-6][rng.below(5)],
                    min_p: [0.0, 0.0, 0.05, 1.0][rng.below(4)],
                    place: match rng.below(4) {
                        0 => 0.0,
                        _ => rng.below(1 << 20) as f64 / f64::from(1 << 20),
                    },
                    logprobs: None,
                })
                .collect();
            let wanted: Vec<Option<Draw>> = draws.iter().copied().map(Some).collect();
            let (got, _) = sample(&mut backend, &rows, &wanted);
            for ((row, draw), got) in rows.iter().zip(&draws).zip(got) {
                let got = got.unwrap();
                assert_eq!(got.logprobs, None);
                let exact = drawn(row, draw, 0.0);
                different += usize::from(got.token != exact);
                all += 1;
                // A share is off by a few units of f32: what is drawn lies between.
                let near = [-2e-6, 2e-6].map(|nudge| drawn(row, draw, nudge));
                let row_kind = &row[..row.len().min(4)];
                let is_between = |token: u32| {
                    let place = |t: u32| {
                        let ranked = ranked(row, draw.temperature);
                        ranked.iter().position(|(token, _)| *token == t).unwrap()
                    };
                    let places = near.map(place);
                    (places[0].min(places[1])..=places[0].max(places[1])).contains(&place(token))
                };
                assert!(
                    got.token == exact || is_between(got.token) || near.contains(&got.token),
                    "{cols} columns like {row_kind:?}, {draw:?}: {got:?}, not {exact} or {near:?}"
                );
            }
        }
    }
    // Only places that fall on the border of two tokens are another's.
    assert!(different * 20 < all, "{different} of {all}");
}

pub(crate) fn logprobs_match_f64<B: Backend>(backend: &mut dyn FnMut(ActivationDtype) -> B) {
    let mut backend = backend(ActivationDtype::F32);
    let mut rng = Rng::new(77);
    for cols in [1, 7, 64, 3000] {
        let rows = rows(&mut rng, cols);
        let draws: Vec<Option<Draw>> = (0..rows.len())
            .map(|index| {
                Some(Draw {
                    temperature: [0.0, 0.9][index % 2],
                    place: 0.3,
                    logprobs: Some([0, 1, 20, 64][(index + cols) % 4]),
                    ..Draw::LIKELIEST
                })
            })
            .collect();
        let (got, _) = sample(&mut backend, &rows, &draws);
        for ((row, draw), got) in rows.iter().zip(&draws).zip(got) {
            let (got, count) = (got.unwrap(), draw.unwrap().logprobs.unwrap() as usize);
            let logprobs = got.logprobs.unwrap();
            let ranked = ranked(row, 1.0);
            let all: f64 = ranked.iter().map(|(_, share)| share).sum();
            let is_near = |got: f32, share: f64| {
                let want = (share / all).ln();
                (f64::from(got) - want).abs() < 1e-5 * want.abs().max(1.0)
                    || (got == f32::NEG_INFINITY && share == 0.0)
            };
            let own = ranked
                .iter()
                .find(|(token, _)| *token == got.token)
                .unwrap();
            assert!(is_near(logprobs.token, own.1), "{cols} columns");
            assert_eq!(
                logprobs.top.len(),
                count.min(ranked.len()),
                "{cols} columns"
            );
            for (got, want) in logprobs.top.iter().zip(&ranked) {
                assert_eq!(got.0, want.0, "{cols} columns");
                assert!(is_near(got.1, want.1), "{cols} columns: {got:?}, {want:?}");
            }
        }
    }
}

pub(crate) fn rows_without_a_draw_are_the_hosts<B: Backend>(
    backend: &mut dyn FnMut(ActivationDtype) -> B,
) {
    let mut backend = backend(ActivationDtype::F32);
    let mut rng = Rng::new(78);
    let rows: Vec<Vec<f32>> = (0..5).map(|_| rng.floats(77)).collect();
    let draw = Some(Draw::LIKELIEST);
    let all = [draw; 5];
    for draws in [all, [None, draw, None, draw, draw]] {
        let (drawn, host) = sample(&mut backend, &rows, &draws);
        let pairs = || rows.iter().zip(&draws);
        let left = pairs().filter(|(_, draw)| draw.is_none());
        let left: Vec<f32> = left.flat_map(|(row, _)| row.clone()).collect();
        assert_same_bits("rows", &host, &left);
        for ((row, draw), drawn) in pairs().zip(drawn) {
            assert_eq!(drawn.is_some(), draw.is_some());
            let Some(drawn) = drawn else { continue };
            let smaller = row.iter().all(|&x| x <= row[drawn.token as usize]);
            assert!(smaller, "{drawn:?}");
        }
    }
}

/// Of two steps, the second of which is begun before the first's tokens are read: it reads those itself.
pub(crate) fn drawn_tokens_are_embedded_before_they_are_read<B: Backend>(
    backend: &mut dyn FnMut(ActivationDtype) -> B,
) {
    const HIDDEN_SIZE: usize = 3;
    let mut backend = backend(ActivationDtype::F32);
    assert!(backend.runs_ahead());
    let mut rng = Rng::new(79);
    let cols = 90;
    let mut steps: [Vec<Vec<f32>>; 2] =
        std::array::from_fn(|_| (0..5).map(|_| rng.floats(cols)).collect());
    steps[0][3].fill(f32::NAN);
    let table: Vec<f32> = (0..cols * HIDDEN_SIZE).map(|i| i as f32).collect();
    let bytes: Vec<u8> = table.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = WeightView {
        name: "table",
        dtype: WeightDtype::F32,
        rows: cols,
        cols: HIDDEN_SIZE,
        data: &bytes,
    };
    let formats = [WeightFormat::Checkpoint];
    let table = backend.pack_linear(&[view], None, &formats).unwrap();
    let draws = [Some(Draw::LIKELIEST); 5];
    let logits = steps
        .each_ref()
        .map(|rows| upload(&mut backend, &rows.concat(), cols));
    begin(&mut backend, &logits[0], &draws);
    let token_ids = [2, 0, 3, 1].map(|row| DRAWN_BEFORE + row);
    let token_ids = [&token_ids[..], &[7]].concat();
    let mut embedded = poisoned(&mut backend, token_ids.len(), HIDDEN_SIZE);
    let op = Embed {
        table: &table,
        token_ids: &token_ids,
        scale: 1.0,
        out: &mut embedded,
    };
    backend.embed(op).unwrap();
    begin(&mut backend, &logits[1], &draws);
    let found = [0, 1].map(|step| {
        let (mut drawn, mut host) = (Vec::new(), Vec::new());
        read(&mut backend, &logits[step], &draws, (&mut drawn, &mut host));
        let tokens = drawn.into_iter().map(|drawn| drawn.unwrap().token);
        tokens.collect::<Vec<u32>>()
    });
    for (rows, tokens) in steps.iter().zip(&found) {
        let want = rows.iter().map(|row| match row[0].is_nan() {
            true => NO_TOKEN,
            false => {
                let largest = row.iter().copied().fold(f32::MIN, f32::max);
                row.iter().position(|&value| value == largest).unwrap() as u32
            }
        });
        assert!(want.eq(tokens.iter().copied()), "{tokens:?}");
    }
    let first = &found[0];
    let rows = download(&mut backend, &embedded, token_ids.len());
    let rows: Vec<&[f32]> = rows.chunks(HIDDEN_SIZE).collect();
    for (row, token) in [(0, first[2]), (1, first[0]), (3, first[1]), (4, 7)] {
        let start = token as usize * HIDDEN_SIZE;
        let want: Vec<f32> = (start..start + HIDDEN_SIZE).map(|i| i as f32).collect();
        assert_same_bits("an embedded row", rows[row], &want);
    }
    // Where no token was drawn, what was there before stays.
    assert!(rows[2].iter().all(|value| value.is_nan()), "{:?}", rows[2]);
}
