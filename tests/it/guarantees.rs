//! The page that users decide by names its tests; they must be there.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_guarantees_name_is_in_the_file_that_they_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("GUARANTEES.md")).unwrap();
    let mut named = 0;
    for link in page.split("](").zip(page.split("](").skip(1)) {
        let name = link.0.rsplit('[').next().unwrap();
        let path = link.1.split(')').next().unwrap();
        let file = fs::read_to_string(root.join(path));
        let file = file.unwrap_or_else(|error| panic!("{path}: {error}"));
        if let Some((_, test)) = name.split_once("::") {
            assert!(file.contains(&format!("fn {test}(")), "{test} in {path}");
            named += 1;
        }
    }
    assert!(named >= 25, "{named} tests are named");
}
