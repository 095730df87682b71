//! The committed corpora again, on any toolchain: every input that fuzzing once found to be of
//! interest, and the inputs of other tests.

use std::fs;
use std::path::{Path, PathBuf};

use llm_balancer_fuzz::{TARGETS, seeds};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpora_is_as_its_oracle_says() {
    for (target, run) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 10, "{} inputs of {target}", files.len());
        for file in files {
            eprintln!("{}", file.display());
            run(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn every_input_of_other_tests_is_as_its_oracle_says() {
    let seeds = seeds();
    for (number, (target, bytes)) in seeds.iter().enumerate() {
        eprintln!("{target}: seed {number}: {:?}", String::from_utf8_lossy(bytes));
        let (_, run) = TARGETS.iter().find(|(name, _)| name == target).unwrap();
        run(bytes);
    }
    assert!(seeds.len() > 350, "{}", seeds.len());
}
