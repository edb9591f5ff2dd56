//! Whatever makes music from a request.

use super::Request;
use crate::audio::AudioBuffer;
use crate::error::{Error, Result};
use crate::progress::{Progress, Step, check};

/// Makes music. [`MusicGen`](super::musicgen::MusicGen) is one; so is every closure
/// `FnMut(&Request, &mut dyn Progress) -> Result<AudioBuffer>`, for models of the host's own.
pub trait Generator: Send {
    /// Makes one piece.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a request it cannot serve, [`Error::Cancelled`] when `progress` said so, and whatever
    /// its model runs into.
    fn generate(&mut self, request: &Request, progress: &mut dyn Progress) -> Result<AudioBuffer>;

    /// Makes several, in the order of the requests. The default makes one after the other.
    ///
    /// # Errors
    /// As [`Generator::generate`]; none is returned unless all succeed.
    fn generate_batch(&mut self, requests: &[Request], progress: &mut dyn Progress) -> Result<Vec<AudioBuffer>> {
        let count = requests.len();
        let mut made = Vec::with_capacity(count);
        for (i, request) in requests.iter().enumerate() {
            made.push(self.generate(request, &mut part(progress, i, count))?);
        }
        Ok(made)
    }
}

impl<F> Generator for F
where
    F: FnMut(&Request, &mut dyn Progress) -> Result<AudioBuffer> + Send,
{
    fn generate(&mut self, request: &Request, progress: &mut dyn Progress) -> Result<AudioBuffer> {
        self(request, progress)
    }
}

/// A host's generator behind the same door as ours: requests are validated before it is called, what it returns is looked
/// at, and a wish to stop is heard at its beginning and end at least.
pub struct Checked<G>(pub G);

impl<G: Generator> Generator for Checked<G> {
    fn generate(&mut self, request: &Request, progress: &mut dyn Progress) -> Result<AudioBuffer> {
        request.validate()?;
        check(progress, "generating", Step::new("generate", 0.0))?;
        let audio = self.0.generate(request, progress)?;
        if audio.frames() == 0 {
            return Err(Error::Model(format!(
                "the generator returned no audio for {} seconds; expected at least one frame",
                request.seconds
            )));
        }
        for channel in 0..audio.channels() {
            if let Some(at) = audio.channel(channel).iter().position(|x| !x.is_finite()) {
                return Err(Error::Model(format!(
                    "the generator returned {} at frame {at} of channel {channel}; expected finite samples",
                    audio.channel(channel)[at]
                )));
            }
        }
        check(progress, "generating", Step::new("generate", 1.0))?;
        Ok(audio)
    }

    /// Looks at all requests before it makes the first piece.
    fn generate_batch(&mut self, requests: &[Request], progress: &mut dyn Progress) -> Result<Vec<AudioBuffer>> {
        if requests.is_empty() {
            return Err(Error::invalid("a batch of 0 requests was given; expected at least one"));
        }
        for (i, request) in requests.iter().enumerate() {
            request.validate().map_err(|e| match e {
                Error::InvalidArgument(message) if requests.len() > 1 => {
                    Error::InvalidArgument(format!("request {i}: {message}"))
                }
                other => other,
            })?;
        }
        let count = requests.len();
        let mut made = Vec::with_capacity(count);
        for (i, request) in requests.iter().enumerate() {
            made.push(self.generate(request, &mut part(progress, i, count))?);
        }
        Ok(made)
    }
}

/// News of piece `i` of `count` as news of the whole.
fn part(progress: &mut dyn Progress, i: usize, count: usize) -> impl Progress {
    move |step: Step| progress.report(Step::new(step.stage, (i as f64 + step.fraction) / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::NoProgress;
    use std::ops::ControlFlow;

    fn tone(request: &Request, _: &mut dyn Progress) -> Result<AudioBuffer> {
        AudioBuffer::new(8000, 1, (request.seconds * 8000.0) as usize)
    }

    #[test]
    fn a_closure_is_a_generator() {
        let mut generator = Checked(tone);
        let requests = [Request { seconds: 1.0, ..Request::new("a") }, Request { seconds: 2.0, ..Request::new("b") }];
        let mut seen = Vec::new();
        let made = generator
            .generate_batch(&requests, &mut |step: Step| {
                seen.push(step.fraction);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!((made[0].frames(), made[1].frames()), (8000, 16000));
        assert_eq!(seen, [0.0, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn a_bad_generator_is_named() {
        let silent = |_: &Request, _: &mut dyn Progress| AudioBuffer::new(8000, 1, 0);
        let e = Checked(silent).generate(&Request::new("a"), &mut NoProgress).unwrap_err();
        assert_eq!(e.code(), "SF_MODEL");
        let e = Checked(tone).generate(&Request::new(""), &mut NoProgress).unwrap_err();
        assert_eq!(e.code(), "SF_INVALID_ARGUMENT");
        assert_eq!(Checked(tone).generate_batch(&[], &mut NoProgress).unwrap_err().code(), "SF_INVALID_ARGUMENT");
        let mut calls = 0;
        let counted = |request: &Request, progress: &mut dyn Progress| {
            calls += 1;
            tone(request, progress)
        };
        let batch = [Request::new("a"), Request { seconds: -1.0, ..Request::new("b") }];
        let e = Checked(counted).generate_batch(&batch, &mut NoProgress).unwrap_err();
        assert!(e.to_string().starts_with("request 1: seconds is -1"), "{e}");
        assert_eq!(calls, 0);
        let stop = &mut |_: Step| ControlFlow::Break(());
        let e = Checked(tone).generate(&Request::new("a"), stop).unwrap_err();
        assert_eq!(e.code(), "SF_CANCELLED");
    }
}
