//! Writes what other tests of the repository have as inputs: `seeds FOLDER`, with a folder for each
//! target in it.

use std::path::Path;
use std::{env, fs};

use llm_balancer_fuzz::{TARGETS, seeds};

fn main() {
    let folder = env::args().nth(1).expect("usage: seeds FOLDER");
    for (target, _) in TARGETS {
        fs::create_dir_all(Path::new(&folder).join(target)).expect("a folder");
    }
    for (number, (target, bytes)) in seeds().into_iter().enumerate() {
        fs::write(Path::new(&folder).join(target).join(number.to_string()), bytes).expect("a file");
    }
}
