//! Lists with a limit of their own: the codec alone bounds a list only by the length of its input.

use crate::cbor::{CborError, Decode, Encode, Reader, Writer};

/// A list of at most `N` values: a longer one is refused before any value of it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AtMost<T, const N: usize>(pub Vec<T>);

impl<T: Encode, const N: usize> Encode for AtMost<T, N> {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl<T: Decode, const N: usize> Decode for AtMost<T, N> {
    fn decode(reader: &mut Reader<'_>) -> Result<AtMost<T, N>, CborError> {
        let count = reader.array()?;
        if count > N {
            return Err(reader.invalid("a list of that many values"));
        }
        (0..count).map(|_| T::decode(reader)).collect::<Result<_, _>>().map(AtMost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::{from_slice, to_vec};

    #[test]
    fn list_above_its_limit_is_refused() {
        let list = AtMost::<u64, 2>(vec![1, 2]);
        assert_eq!(from_slice(&to_vec(&list)), Ok(list));
        assert!(from_slice::<AtMost<u64, 2>>(&[0x83, 1, 2, 3]).is_err());
        // Refused by its count: the values are not even there.
        let claimed = from_slice::<AtMost<u64, 2>>(&[0x83, 1]).unwrap_err();
        assert!(!matches!(claimed, CborError::Trailing { .. }));
    }
}
