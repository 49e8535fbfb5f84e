//! The same cases on a device, where this machine has one, if only in software.

use std::{io::Write as _, sync::LazyLock};

use pleach_gpu_accel::{
    RecoveryRequest,
    gpu::{AdapterChoice, Gpu, GpuOptions, first_adapter},
    recover_one,
};

static DEVICE: LazyLock<Option<Gpu>> = LazyLock::new(|| {
    let choice = AdapterChoice { software: true, name: None };
    let adapter = first_adapter(&choice).ok()?;
    let options = GpuOptions { deadline: std::time::Duration::from_secs(60), ..Default::default() };
    Some(Gpu::open(&adapter, &options, &mut |_| {}).expect("an adapter that is listed opens"))
});

/// Compares the device's answers with those of one recovery at a time.
pub(crate) fn check(what: &str, requests: &[RecoveryRequest]) {
    let Some(gpu) = DEVICE.as_ref() else {
        // Past the test harness, which would keep it to itself.
        let count = requests.len();
        let _ = writeln!(std::io::stderr(), "skipped: {count} {what} on a device (no adapter)");
        return;
    };
    let found = gpu.recover(requests).expect("the device answers");
    assert_eq!(found.len(), requests.len(), "{what}");
    for (request, found) in requests.iter().zip(&found) {
        assert_eq!(recover_one(request), *found, "{what}: {request:?}");
    }
}
