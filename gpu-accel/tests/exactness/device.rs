//! The same cases on a device, where this machine has one, if only in software.

use std::{io::Write as _, sync::LazyLock};

use pleach_gpu_accel::{
    RecoveryRequest,
    gpu::{AdapterChoice, Gpu, GpuOptions, P256Request, first_adapter},
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

/// Compares what the device says of P-256 signatures.
pub(crate) fn check_p256(requests: &[P256Request], expected: &[bool]) {
    let Some(gpu) = DEVICE.as_ref() else {
        let count = requests.len();
        let _ = writeln!(std::io::stderr(), "skipped: {count} P-256 on a device (no adapter)");
        return;
    };
    let verifier = gpu.p256(&mut |_| {}).expect("the kernels are built");
    assert_eq!(verifier.verify(requests).expect("the device answers"), expected);
}
