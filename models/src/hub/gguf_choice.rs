//! Which GGUF file of a repository is meant.

/// Quantisations that are chosen where nobody says, best first: those that llama.cpp prefers.
const PREFERRED: [&str; 2] = ["Q4_K_M", "Q8_0"];

/// The file that `asked` means among all `names` of a repository, all its parts if it is split:
/// the file of that name, or the one with that quantisation in its name (`model-Q4_K_M.gguf` for
/// `Q4_K_M`, as llama.cpp finds it). Nothing asked is `Q4_K_M`, `Q8_0` or the first file.
///
/// # Errors
/// The files that there are, where it is none of them.
pub(super) fn choose(names: &[String], asked: Option<&str>) -> Result<Vec<String>, Vec<String>> {
    let mut files: Vec<&String> = names.iter().filter(|name| is_model(name)).collect();
    files.sort_unstable();
    let found = match asked {
        Some(asked) => files
            .iter()
            .find(|name| name.as_str() == asked)
            .or_else(|| files.iter().find(|name| has_quantization(name, asked))),
        None => PREFERRED
            .iter()
            .find_map(|quantization| {
                let has = |name: &&&String| has_quantization(name, quantization);
                files.iter().find(has)
            })
            .or(files.first()),
    };
    let Some(found) = found else {
        return Err(files.into_iter().cloned().collect());
    };
    Ok(match part_of(found) {
        None => vec![(*found).clone()],
        Some(model) => {
            let same = |name: &&String| part_of(name) == Some(model);
            files.iter().copied().filter(same).cloned().collect()
        }
    })
}

/// Whether a file is the weights of a language model; projectors of images and statistics of
/// quantisation have the same ending.
fn is_model(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".gguf") && !name.contains("mmproj") && !name.contains("imatrix")
}

/// Whether `quantization` stands in the name, between signs that are not part of such a word.
fn has_quantization(name: &str, quantization: &str) -> bool {
    let (name, wanted) = (name.to_ascii_uppercase(), quantization.to_ascii_uppercase());
    let is_sign = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    !wanted.is_empty()
        && name.match_indices(&wanted).any(|(start, found)| {
            let before = name[..start].chars().next_back();
            let after = name[start + found.len()..].chars().next();
            before.is_none_or(is_sign) && after.is_none_or(is_sign)
        })
}

/// The name of the whole model, of a part of it: `m` of `m-00001-of-00002.gguf`.
fn part_of(name: &str) -> Option<&str> {
    let stem = &name[..name.len().checked_sub(".gguf".len())?];
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (model, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(count) && is_number(number)).then_some(model)
}

#[cfg(test)]
mod tests {
    use super::choose;

    fn chosen(names: &[&str], asked: Option<&str>) -> Result<Vec<String>, Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        choose(&names, asked)
    }

    const NAMES: [&str; 8] = [
        "README.md",
        "UD-Q8_0/m-Q8_0-00001-of-00002.gguf",
        "UD-Q8_0/m-Q8_0-00002-of-00002.gguf",
        "m-BF16.gguf",
        "m-IQ4_XS.gguf",
        "m-Q4_K_M.gguf",
        "m-Q4_K_S.gguf",
        "mmproj-F16.gguf",
    ];

    #[test]
    fn a_quantisation_or_a_name_chooses_a_file() {
        let one = |asked: &str| chosen(&NAMES, Some(asked));
        assert_eq!(one("Q4_K_M"), Ok(vec!["m-Q4_K_M.gguf".to_owned()]));
        assert_eq!(one("q4_k_s"), Ok(vec!["m-Q4_K_S.gguf".to_owned()]));
        assert_eq!(one("m-BF16.gguf"), Ok(vec!["m-BF16.gguf".to_owned()]));
        let parts = [1, 2].map(|part| format!("UD-Q8_0/m-Q8_0-0000{part}-of-00002.gguf"));
        assert_eq!(one("Q8_0"), Ok(parts.to_vec()));
        // Neither a part of a word nor what is no language model.
        for asked in ["Q4", "Q4_XS", "F16", "", "Q6_K"] {
            let files = one(asked).unwrap_err();
            assert_eq!(files.len(), 6, "{asked}");
        }
    }

    #[test]
    fn nothing_asked_is_what_llama_cpp_takes() {
        let first = |names: &[&str]| chosen(names, None).unwrap()[0].clone();
        assert_eq!(first(&NAMES), "m-Q4_K_M.gguf");
        assert_eq!(first(&["b-F16.gguf", "b-Q8_0.gguf"]), "b-Q8_0.gguf");
        assert_eq!(first(&["b-F32.gguf", "b-F16.gguf"]), "b-F16.gguf");
        assert_eq!(chosen(&["a.bin"], None), Err(Vec::new()));
    }
}
