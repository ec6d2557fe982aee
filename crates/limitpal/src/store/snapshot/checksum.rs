//! A checksum that no flipped byte escapes: CRC-32, as in ISO 3309 (zlib's).

/// The polynomial, its lowest power first.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// What each byte adds.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let add = |sum: u32, byte: &u8| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    !bytes.iter().fold(u32::MAX, add)
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn it_is_the_one_that_others_have() {
        assert_eq!(0xcbf4_3926, checksum(b"123456789"));
    }
}
