//! The built `pleach gpu` command, from outside, on a software adapter where there is one.

use std::{
    io::{self, Write as _},
    process::{Command, Output},
};

use serde_json::Value;

fn gpu(arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_pleach")).arg("gpu").args(arguments).output();
    let output = command.expect("the built command starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    output
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn software_adapters_are_listed_only_on_request() {
    let listed = gpu(&["list", "--json"]);
    assert!(listed.status.success());
    assert!(lines(&listed).iter().all(|device| device["kind"] != "software"));
    let all = gpu(&["list", "--json", "--software"]);
    assert!(all.status.success() && lines(&all).len() >= lines(&listed).len());
    let none = gpu(&["selftest", "--device", "no device has this name"]);
    assert_eq!(none.status.code(), Some(1), "nothing was tested");
    assert!(none.stdout.is_empty());
}

/// The self-test and what is kept of compiled kernels.
#[test]
fn a_software_adapter_passes_the_self_test_and_keeps_its_kernels() {
    let all = lines(&gpu(&["list", "--json", "--software"]));
    let Some(device) = all.iter().find(|device| device["kind"] == "software") else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(io::stderr(), "skipped: 1 test of `gpu selftest` (no software adapter)");
        return;
    };
    let name = device["name"].as_str().expect("a name");
    let cache = std::env::temp_dir().join(format!("pleach-kernels-{}", std::process::id()));
    let kept = cache.to_str().expect("a path that is text");
    let arguments = ["--software", "--device", name, "--kernel-cache", kept, "--json"];
    let tested = gpu(&[["selftest", "--random", "500"].as_slice(), &arguments].concat());
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let report = &lines(&tested)[0];
    assert_eq!((&report["device"], &report["random"]), (&device["name"], &500.into()));
    assert!(report["crafted"].as_u64().is_some_and(|count| count > 2000), "{report}");
    assert!(report["messages"].as_u64().is_some_and(|count| count > 400), "{report}");
    // Vulkan keeps kernels, and what was kept is taken again or left, never an error.
    if device["backend"] == "vulkan" {
        let files: Vec<_> = std::fs::read_dir(&cache).expect("the folder was made").collect();
        let [Ok(file)] = files.as_slice() else { panic!("one file, not {files:?}") };
        assert!(file.metadata().expect("a file").len() > 0);
        std::fs::write(file.path(), b"no kernels at all").expect("the file is ours");
        let again = gpu(&[["selftest", "--random", "10"].as_slice(), &arguments].concat());
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    }
    let _ = std::fs::remove_dir_all(cache);
}
