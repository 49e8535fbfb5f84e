//! One batch in portions, which the threads of a crew take one after another.

use pleach_crew::Crew;

/// Answers all requests, in place. `portion` says how many of those left are taken next.
pub(crate) fn share<R: Sync, A: Send>(
    crew: &Crew,
    mut requests: &[R],
    mut answers: &mut [A],
    portion: impl Fn(usize) -> usize,
    work: impl Fn(&[R], &mut [A]) + Sync,
) {
    assert_eq!(requests.len(), answers.len(), "each request has a place for its answer");
    if crew.threads() == 1 {
        return work(requests, answers);
    }
    let mut portions = Vec::new();
    while !requests.is_empty() {
        let size = portion(requests.len()).clamp(1, requests.len());
        let (first, rest) = requests.split_at(size);
        let (first_answers, rest_answers) = answers.split_at_mut(size);
        portions.push((first, first_answers));
        (requests, answers) = (rest, rest_answers);
    }
    crew.each(&mut portions, |(requests, answers)| work(requests, answers));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_once_in_its_place() {
        for helpers in [0, 2] {
            let crew = Crew::new(helpers).unwrap();
            for count in [0, 1, 2, 7, 64, 1000] {
                for size in [0, 1, 3, 64, 5000] {
                    let requests: Vec<usize> = (0..count).collect();
                    let mut answers = vec![0; count];
                    let work = |requests: &[usize], answers: &mut [usize]| {
                        for (request, answer) in requests.iter().zip(answers) {
                            *answer += request + 1;
                        }
                    };
                    share(&crew, &requests, &mut answers, |_| size, work);
                    assert!(answers.iter().enumerate().all(|(index, answer)| *answer == index + 1));
                }
            }
        }
    }
}
