//! Directions: checked and scaled to unit length.

use half::f16;

use crate::error::{Error, Result};

/// Scales `vector` to unit length and rounds it to f16, the form that is stored and that scores are computed from.
///
/// `what` names the vector in the message of an error.
///
/// # Errors
/// `invalid_vector` if there are no components, one is NaN or infinite, or the length is zero or subnormal.
pub fn normalise(what: &str, vector: &[f32]) -> Result<Vec<f16>> {
    let scale = unit_scale(what, vector)?;
    Ok(vector.iter().map(|&component| f16::from_f64(f64::from(component) * scale)).collect())
}

/// What to multiply the components with to reach unit length.
pub(super) fn unit_scale(what: &str, vector: &[f32]) -> Result<f64> {
    let invalid = |detail: String| Error::InvalidVector { what: what.to_owned(), detail };
    if vector.is_empty() {
        return Err(invalid("it has no components".to_owned()));
    }
    if let Some((index, component)) = vector.iter().enumerate().find(|(_, component)| !component.is_finite()) {
        return Err(invalid(format!("component {index} is {component}")));
    }
    let length = vector.iter().map(|&component| f64::from(component).powi(2)).sum::<f64>().sqrt();
    if length < f64::from(f32::MIN_POSITIVE) {
        return Err(invalid(format!("its length is {length}")));
    }
    Ok(length.recip())
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_vector_becomes_unit_length() -> Result<()> {
        let unit = normalise("frame", &[3.0, -4.0])?;
        assert_eq!(unit, [f16::from_f32(0.6), f16::from_f32(-0.8)]);
        let huge = normalise("frame", &[f32::MAX, f32::MAX])?;
        assert_eq!(huge, [f16::from_f64(0.5_f64.sqrt()); 2]);
        Ok(())
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        for bad in [&[][..], &[0.0, 0.0], &[1.0, f32::NAN], &[f32::INFINITY], &[1e-40, 0.0]] {
            match normalise("the frame at 3 s", bad) {
                Err(Error::InvalidVector { what, .. }) => assert_eq!(what, "the frame at 3 s"),
                other => panic!("{bad:?} gave {other:?}"),
            }
        }
    }
}
