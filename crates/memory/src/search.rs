//! Finding files by words.

use std::collections::BTreeMap;

use crate::{MemoryPath, Namespace, StorageError, Store, Tenant};

/// A file that has words of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The file.
    pub path: MemoryPath,
    /// How well it matches: the more of the query's words it has, and the rarer they are.
    pub score: f64,
    /// Number of the line that has most of them, counted from 1; 0 if only the path has any.
    pub line: usize,
    /// That line.
    pub text: String,
}

impl Store {
    /// The files that have most of the query's words in their path or text, best first, at most
    /// `most` of them.
    ///
    /// A word is a run of letters and digits; upper and lower case are the same. A word that is in
    /// n of N files weighs ln(1 + N / n), however often a file has it. Every file of the namespace
    /// is read.
    ///
    /// # Errors
    /// If reading fails.
    pub fn search(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        query: &str,
        most: usize,
    ) -> Result<Vec<Found>, StorageError> {
        let root = MemoryPath::below_root("").map_err(|_| StorageError::Damaged("the root"))?;
        let files = self.files_in(tenant, namespace, &root)?;
        let mut terms = words(query);
        terms.sort_unstable();
        terms.dedup();
        let matches: Vec<Match> = files
            .iter()
            .map(|(path, text)| Match::new(&terms, path, text))
            .collect();
        let mut holders: BTreeMap<usize, usize> = BTreeMap::new();
        for term in matches.iter().flat_map(|found| &found.terms) {
            *holders.entry(*term).or_default() += 1;
        }
        let weight = |term: &usize| (1.0 + files.len() as f64 / holders[term] as f64).ln();
        let mut found: Vec<(f64, usize)> = matches
            .iter()
            .enumerate()
            .filter(|(_, found)| !found.terms.is_empty())
            .map(|(file, found)| (found.terms.iter().map(weight).sum(), file))
            .collect();
        // Files are in the order of their paths, and the sort is stable.
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found
            .into_iter()
            .take(most)
            .map(|(score, file)| {
                let path = MemoryPath::below_root(&files[file].0)
                    .map_err(|_| StorageError::Damaged("a file has a path that is none"))?;
                let line = matches[file].line;
                let text = line
                    .checked_sub(1)
                    .and_then(|line| files[file].1.lines().nth(line));
                Ok(Found {
                    path,
                    score,
                    line,
                    text: text.unwrap_or_default().to_owned(),
                })
            })
            .collect()
    }
}

/// What a file has of a query.
struct Match {
    /// Numbers of the terms, sorted.
    terms: Vec<usize>,
    /// The line with most of them, from 1; 0 if there is none.
    line: usize,
}

impl Match {
    fn new(terms: &[String], path: &str, text: &str) -> Self {
        let mut found = terms_of(terms, path);
        let (mut line, mut most) = (0, 0);
        for (index, text) in text.lines().enumerate() {
            let of_line = terms_of(terms, text);
            if of_line.len() > most {
                (line, most) = (index + 1, of_line.len());
            }
            found.extend(of_line);
        }
        found.sort_unstable();
        found.dedup();
        Self { terms: found, line }
    }
}

/// Numbers of the distinct terms in `text`.
fn terms_of(terms: &[String], text: &str) -> Vec<usize> {
    let mut found: Vec<usize> = words(text)
        .iter()
        .filter_map(|word| terms.binary_search(word).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}
