//! Kernels against the CPU, on whatever adapter there is.

use super::*;

#[test]
fn every_kernel_equals_its_twin() {
    let Ok(adapter) = first_adapter(&AdapterChoice { software: true, name: None }) else {
        eprintln!("skipped: 1 test (no adapter)");
        return;
    };
    for form in [LimbForm::Wide, LimbForm::Narrow] {
        let options = GpuOptions { form: Some(form), ..GpuOptions::default() };
        let gpu =
            Gpu::open(&adapter, &options, &mut |step| eprintln!("{form:?} {step:?}")).unwrap();
        eprintln!("{:?}", gpu.self_test(10_000).unwrap());
    }
}
