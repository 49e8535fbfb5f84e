//! One batch, and the threads that take portions of it until nothing is left.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use pleach_crew::Crew;

/// What nobody has taken yet.
struct Left<'a, R, A> {
    requests: &'a [R],
    answers: &'a mut [A],
}

/// Answers all requests, in place. `portion` says how many of those left a thread takes next; the
/// calling thread begins at once, and others join it as they wake.
pub(crate) fn share<R: Sync, A: Send>(
    crew: &Crew,
    requests: &[R],
    answers: &mut [A],
    portion: impl Fn(usize) -> usize + Sync,
    work: impl Fn(&[R], &mut [A]) + Sync,
) {
    assert_eq!(requests.len(), answers.len(), "each request has a place for its answer");
    let portions = requests.len().div_ceil(portion(requests.len()).max(1));
    let left = Mutex::new(Left { requests, answers });
    let mut takers = vec![(); portions.min(crew.threads())];
    crew.each(&mut takers, |()| {
        while let Some((requests, answers)) = take(&left, &portion) {
            work(requests, answers);
        }
    });
}

/// The next portion, of one request at least; None when nothing is left.
fn take<'a, R, A>(
    left: &Mutex<Left<'a, R, A>>,
    portion: &impl Fn(usize) -> usize,
) -> Option<(&'a [R], &'a mut [A])> {
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    let count = left.requests.len();
    if count == 0 {
        return None;
    }
    let size = portion(count).clamp(1, count);
    let (requests, other_requests) = left.requests.split_at(size);
    let (answers, other_answers) = mem::take(&mut left.answers).split_at_mut(size);
    (left.requests, left.answers) = (other_requests, other_answers);
    Some((requests, answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_once_in_its_place() {
        for crew in [Crew::new(0).unwrap(), Crew::new(3).unwrap()] {
            for count in [0, 1, 2, 7, 64, 1000] {
                for size in [0, 1, 3, 64, 5000] {
                    let requests: Vec<usize> = (0..count).collect();
                    let mut answers = vec![0; count];
                    share(
                        &crew,
                        &requests,
                        &mut answers,
                        |_| size,
                        |requests, answers| {
                            for (request, answer) in requests.iter().zip(answers) {
                                *answer += request + 1;
                            }
                        },
                    );
                    assert!(answers.iter().enumerate().all(|(index, answer)| *answer == index + 1));
                }
            }
        }
    }
}
