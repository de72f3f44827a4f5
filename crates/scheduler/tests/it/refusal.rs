//! Requests and settings that are refused.

use std::time::Duration;

use scheduler::{ConfigError, Scheduler, SubmitError};

use crate::world::{World, config, request, tokens};

#[test]
fn what_could_not_run_alone_is_refused() {
    let mut settings = config(4, 11);
    settings.max_model_len = 30;
    let mut world = World::new(settings.clone());
    let refused = world.submit(request(1, tokens(0, 20), 11));
    let expected = SubmitError::TooLong {
        prompt_tokens: 20,
        max_tokens: 11,
        max_model_len: 30,
    };
    assert_eq!(refused, Err(expected));
    assert!(world.submit(request(1, tokens(0, 20), usize::MAX)).is_err());
    world.add(1, tokens(0, 20), 10);

    settings.max_model_len = 1000;
    let mut world = World::new(settings);
    let refused = world.submit(request(1, tokens(0, 20), 21));
    let expected = SubmitError::TooLong {
        prompt_tokens: 20,
        max_tokens: 21,
        max_model_len: 40,
    };
    assert_eq!(refused, Err(expected), "the pool holds 10 blocks of 4");
    world.add(1, tokens(0, 20), 20);
    world.run();
    assert_eq!(world.outputs.len(), 1);
}

#[test]
fn the_queue_is_bounded_in_requests() {
    let mut settings = config(16, 100);
    settings.max_queued_requests = 2;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 10), 1);
    world.add(2, tokens(2, 10), 1);
    let full = world.submit(request(3, tokens(3, 10), 1));
    assert!(matches!(full, Err(SubmitError::QueueFull { .. })));
    world.step();
    world.add(3, tokens(3, 10), 1);
}

#[test]
fn the_queue_is_bounded_in_uncached_tokens() {
    let mut settings = config(16, 1000);
    settings.max_queued_tokens = 100;
    let mut world = World::new(settings);
    world.add(1, tokens(0, 320), 1);
    world.run();
    // One request may exceed the bound when nothing waits.
    world.add(2, tokens(2, 90), 1);
    // All but 16 of these tokens are cached.
    let twin = world.submit(request(3, tokens(0, 320), 1));
    assert!(
        matches!(twin, Err(SubmitError::QueueFull { .. })),
        "90 + 16 > 100"
    );
    world.run();
    world.add(4, tokens(4, 84), 1);
    world.add(5, tokens(0, 320), 1);
    assert_eq!(world.scheduler.stats().queued_uncached_tokens, 100);
    let full = world.submit(request(6, tokens(6, 1), 1));
    assert!(matches!(full, Err(SubmitError::QueueFull { .. })));
    world.run();
    world.add(7, tokens(7, 500), 1);
}

#[test]
fn retry_after_follows_the_measured_prefill_rate() {
    let mut settings = config(16, 10_000);
    settings.max_queued_tokens = 9_000;
    let mut world = World::new(settings);
    assert_eq!(
        world.scheduler.retry_after(5_000),
        Duration::from_secs(1),
        "nothing measured"
    );
    world.step_time = (Duration::ZERO, Duration::from_millis(1));
    world.add(1, tokens(0, 2000), 1);
    world.run();
    let rate = world
        .scheduler
        .stats()
        .prefill_rate
        .expect("a prompt was computed");
    assert!((rate - 1000.0).abs() < 1e-6, "{rate}");
    world.add(2, tokens(2, 5000), 1);
    let full = world.submit(request(3, tokens(3, 5000), 1));
    let retry_after = Duration::from_secs(10);
    assert_eq!(
        full,
        Err(SubmitError::QueueFull { retry_after }),
        "10,000 tokens at 1,000/s"
    );
    assert_eq!(
        world.scheduler.retry_after(1 << 30),
        Duration::from_secs(60),
        "bounded"
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let error = |change: fn(&mut scheduler::SchedulerConfig)| {
        let mut settings = config(16, 100);
        change(&mut settings);
        Scheduler::new(settings).err()
    };
    assert_eq!(error(|_| {}), None);
    assert_eq!(
        error(|c| c.block_size = 0),
        Some(ConfigError::Zero("block_size"))
    );
    assert_eq!(
        error(|c| c.max_num_seqs = 0),
        Some(ConfigError::Zero("max_num_seqs"))
    );
    assert_eq!(
        error(|c| c.num_blocks = 1),
        Some(ConfigError::TooFewBlocks(1))
    );
    let below = ConfigError::BudgetBelowSeqs {
        max_num_batched_tokens: 255,
        max_num_seqs: 256,
    };
    assert_eq!(error(|c| c.max_num_batched_tokens = 255), Some(below));
    for watermark in [-0.1, 1.0, f64::NAN] {
        let mut settings = config(16, 100);
        settings.watermark = watermark;
        let refused = Scheduler::new(settings).err();
        assert!(matches!(
            refused,
            Some(ConfigError::OutOfRange {
                name: "watermark",
                ..
            })
        ));
    }
    assert!(error(|c| c.output_reserve.initial_ratio = 1.5).is_some());
    assert!(
        error(|c| c.output_reserve.min_ratio = 0.5).is_some(),
        "above the initial ratio"
    );
}
