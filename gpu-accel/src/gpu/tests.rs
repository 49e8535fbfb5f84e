//! Devices against the CPU, on whatever adapter there is.

use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use alloy_primitives::keccak256;

use super::*;
use crate::{Accelerator, RecoveryRequest, SignedMessage, recover_one};

/// One test at a time has the device: warm-ups are measured.
static DEVICE: Mutex<()> = Mutex::new(());

/// The options for the first adapter, software ones included; none where there is no adapter.
fn options(form: LimbForm) -> Option<DeviceOptions> {
    let choice = AdapterChoice { software: true, name: None };
    let Ok(adapter) = first_adapter(&choice) else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(io::stderr(), "skipped: 1 test of {form:?} limbs (no adapter)");
        return None;
    };
    let name = Some(adapter.name().to_owned());
    // Software adapters on a busy machine are slow, and slowness is not what is tested.
    let deadline = Duration::from_secs(60);
    Some(DeviceOptions {
        choice: AdapterChoice { software: true, name },
        gpu: GpuOptions { form: Some(form), deadline, ..GpuOptions::default() },
        ..DeviceOptions::default()
    })
}

/// Every crafted case, 100,000 random ones, messages of every length, and the other scheme.
fn equals_the_cpu(form: LimbForm) {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(options) = options(form) else { return };
    let adapter = first_adapter(&options.choice).unwrap();
    let mut cold = Duration::ZERO;
    let gpu = Gpu::open(&adapter, &options.gpu, &mut |step| cold += step.took).unwrap();
    let test = gpu.self_test(100_000).unwrap();
    assert!(test.crafted > 2000, "{test:?}");
    // Past the test harness: 60 s is the goal, but a busy machine fails no test.
    let _ = writeln!(io::stderr(), "{form:?} limbs: kernels built cold in {cold:.1?}; {test:?}");
    assert!(recomputed(&gpu) > 1000, "the crafted sums collide on the device");
    let requests = [p256::tests::crafted(), random_p256_requests(10_000, 4)].concat();
    let verified = gpu.p256(&mut |_| {}).unwrap().verify(&requests).unwrap();
    let wrong: Vec<_> = requests
        .iter()
        .zip(&verified)
        .enumerate()
        .filter(|(_, (request, verified))| verify_p256_one(request) != **verified)
        .collect();
    assert!(wrong.is_empty(), "{} of P-256: {:?}", wrong.len(), wrong[0]);
}

/// Crafted requests that the device leaves to the CPU.
fn recomputed(gpu: &Gpu) -> usize {
    let crafted = crafted_requests();
    let slot = gpu.slot(&gpu.recover, crafted.len()).unwrap();
    let (words, digests) = (request_words(&crafted), digest_words(&crafted));
    let pending = gpu.start(&gpu.recover, &slot, &words, Some(&digests));
    let answers = gpu.finish(&slot, pending).unwrap();
    let statuses = answers.iter().step_by(kernel::recover::ANSWER_WORDS as usize);
    statuses.filter(|status| **status == kernel::STATUS_RECOMPUTE).count()
}

#[test]
fn wide_limbs_equal_the_cpu() {
    equals_the_cpu(LimbForm::Wide);
}

#[test]
fn narrow_limbs_equal_the_cpu() {
    equals_the_cpu(LimbForm::Narrow);
}

/// CPU and device share a batch, from hashes and from messages.
#[test]
fn both_ends_give_one_batch_in_order() {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(options) = options(LimbForm::Wide) else { return };
    let options = DeviceOptions { chunk: Some(512), self_test: 16, ..options };
    let accelerator = Accelerator::with_devices(2, &options, &mut |_| {}).unwrap();
    // Where the threads are done before the device begins, it takes another batch.
    let took_part = || {
        let metrics = &accelerator.device_metrics()[0];
        metrics.recovered > 0 && metrics.rechecked > 0
    };
    let again = std::iter::repeat_n(5000, 50).take_while(|_| !took_part());
    for count in [1, 511, 513, 5000].into_iter().chain(again) {
        let requests = random_requests(count, count as u64);
        let expected: Vec<_> = requests.iter().map(recover_one).collect();
        assert!(accelerator.recover(&requests) == expected, "{count} hashes");
        let messages: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; i % 300]).collect();
        let signed: Vec<_> = requests
            .iter()
            .zip(&messages)
            .map(|(request, message)| SignedMessage {
                signature: request.signature,
                message,
                require_low_s: request.require_low_s,
            })
            .collect();
        let hashed = requests.iter().zip(&messages).map(|(request, message)| {
            recover_one(&RecoveryRequest { message_hash: keccak256(message), ..*request })
        });
        let expected: Vec<_> = hashed.collect();
        assert!(accelerator.recover_messages(&signed) == expected, "{count} messages");
    }
    let metrics = &accelerator.device_metrics()[0];
    assert_eq!(metrics.failure, None);
    assert!(metrics.recovered > 0 && metrics.rechecked > 0, "{metrics:?}");
}

/// Whatever goes wrong on the device, the batch comes out right, and the device is given up.
#[test]
fn faults_leave_the_answers_right() {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(options) = options(LimbForm::Wide) else { return };
    let requests = random_requests(3000, 7);
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    let faults = [
        InjectedFault::LostDevice,
        InjectedFault::WrongAnswer,
        InjectedFault::Hang(Duration::from_secs(8)),
        InjectedFault::OutOfMemory,
    ];
    for (before, fault) in faults.into_iter().enumerate() {
        let mut options = DeviceOptions {
            chunk: Some(256),
            self_test: 16,
            faults: FaultPlan::after(before % 2, fault),
            ..options.clone()
        };
        if matches!(fault, InjectedFault::Hang(_)) {
            options.gpu.deadline = Duration::from_secs(1);
        }
        let accelerator = Accelerator::with_devices(2, &options, &mut |_| {}).unwrap();
        let has_failed = || accelerator.device_metrics()[0].failure.is_some();
        // On a busy machine the threads may be done before the device has begun: then once more.
        for _ in 0..50 {
            assert!(accelerator.recover(&requests) == expected, "{fault:?}");
            if has_failed() {
                break;
            }
        }
        assert!(has_failed(), "{fault:?} went unnoticed");
        assert!(accelerator.recover(&requests) == expected, "{fault:?}: the second batch");
    }
}
