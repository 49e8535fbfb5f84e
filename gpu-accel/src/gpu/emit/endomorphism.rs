//! secp256k1's endomorphism: one scalar of 256 bits becomes two odd ones of about 129.
//!
//! (k₁, k₂) with k₁ + λ·k₂ ≡ k is k minus a near multiple of each of two short vectors (Gallant,
//! Lambert, Vanstone 2001). Everything is taken modulo a power of two above the result, so signs
//! cost nothing. Two more vectors, added by parity, make both halves odd: a signed odd digit
//! exists for every window then, and no addition has to be skipped.

use alloy_primitives::uint;

use super::word::{Big, Code, LimbForm, Word};

/// Bits of a recoded half: 33 windows of 4 bits.
const HALF_BITS: usize = 132;

/// The group's order.
pub(crate) const ORDER: Big =
    uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U640);
/// x of λ·P is β·x.
pub(crate) const BETA: Big =
    uint!(0x7ae96a2b657c07106e64479eac3434e99cf0497512f58995c1396c28719501ee_U640);
/// The short vectors (A1, -MINUS_B1) and (A2, A1).
const A1: Big = uint!(0x3086d221a7d46bcde86c90e49284eb15_U640);
const MINUS_B1: Big = uint!(0xe4437ed6010e88286f547fa90abfe4c3_U640);
const A2: Big = uint!(0x114ca50f7a8e2f3f657c1108d9d44cfd8_U640);

/// Bits below the point in the factors that estimate the multiples.
const ESTIMATE_BITS: usize = 384;

/// The function that splits canonical digits; gives the recoded halves as 5 words each.
///
/// A recoded half h stands for the digits 2·(its nibble) - 15, highest first: h = (k + 2^132 -
/// 1) / 2, which for odd k is k shifted down by one, with bit 131 flipped.
pub(crate) fn split_function(form: LimbForm) -> String {
    let mut code = Code::new(form);
    let scalar: Vec<Word> =
        (0..form.count()).map(|i| Word::limb(format!("a.l{i}"), form.mask())).collect();
    let first = multiple(&mut code, &scalar, &A1);
    let second = multiple(&mut code, &scalar, &MINUS_B1);
    let length = (HALF_BITS + 8).div_ceil(form.bits());
    let minus = |number: Big| (Big::from(1u8) << (length * form.bits())) - number;
    let low = low_combination(&mut code, length, &[(&first, minus(A1)), (&second, minus(A2))]);
    let low = add_scalar(&mut code, &low, &scalar[..length]);
    let high = low_combination(&mut code, length, &[(&first, MINUS_B1), (&second, minus(A1))]);
    let high = add_scalar(&mut code, &high, &[]);
    // The first vector flips both parities, the second one only that of the second half.
    let odd_low = code.limb(&format!("1u - ({} & 1u)", low[0].text), 1);
    let odd_high = code.limb(&format!("1u - (({} + {}) & 1u)", high[0].text, odd_low.text), 1);
    let low = low_combination(&mut code, length, &[(&low, Big::from(1u8))]);
    let fix = |code: &Code, first: Big, second: Big| {
        let [first, second] = [first, second].map(|vector| form.split(&vector, length));
        let terms = |i: usize| {
            let parts = [code.scaled(&odd_low, first[i]), code.scaled(&odd_high, second[i])];
            parts.into_iter().flatten().collect::<Vec<_>>()
        };
        (0..length).map(terms).collect::<Vec<_>>()
    };
    let low_fix = fix(&code, A1, A2);
    let low_fixed = joined(&mut code, low, low_fix);
    let high = low_combination(&mut code, length, &[(&high, Big::from(1u8))]);
    let high_fix = fix(&code, minus(MINUS_B1), A1);
    let high_fixed = joined(&mut code, high, high_fix);
    let mut words = recoded(&mut code, &low_fixed);
    words.extend(recoded(&mut code, &high_fixed));
    code.line(&format!("return Halves({});", words.join(", ")));
    let members: String = ["p", "q"]
        .iter()
        .flat_map(|half| (0..5).map(move |i| format!("{half}{i}: u32, ")))
        .collect();
    format!("struct Halves {{ {members} }}\nfn split_scalar(a: Fe) -> Halves {{\n{}}}\n", code.text)
}

type Columns = Vec<Vec<(String, u128)>>;

/// scalar · vector / order, rounded down: one off at most, which only lengthens the result.
fn multiple(code: &mut Code, scalar: &[Word], vector: &Big) -> Vec<Word> {
    let (form, count) = (code.form, scalar.len());
    let factor = ((*vector << ESTIMATE_BITS) + (ORDER >> 1)) / ORDER;
    let factors = form.split(&factor, count);
    let mut columns: Columns = vec![Vec::new(); 2 * count - 1];
    for (i, limb) in scalar.iter().enumerate() {
        for (j, factor) in factors.iter().enumerate() {
            columns[i + j].extend(code.scaled(limb, *factor));
        }
    }
    let digits = code.carry(&columns, &(Big::from(1u8) << 512));
    let length = 129usize.div_ceil(form.bits());
    (0..length)
        .map(|i| code.window(&digits, ESTIMATE_BITS + i * form.bits(), form.bits()))
        .collect()
}

/// The lowest columns of a sum of products with constants.
fn low_combination(code: &mut Code, length: usize, parts: &[(&[Word], Big)]) -> Columns {
    let mut columns: Columns = vec![Vec::new(); length];
    for (limbs, constant) in parts {
        let factors = code.form.split(constant, length);
        for (i, limb) in limbs.iter().enumerate() {
            for j in 0..length.saturating_sub(i) {
                columns[i + j].extend(code.scaled(limb, factors[j]));
            }
        }
    }
    columns
}

/// Adds the scalar and carries; what is above the columns is dropped.
fn add_scalar(code: &mut Code, columns: &Columns, scalar: &[Word]) -> Vec<Word> {
    let terms = (0..columns.len())
        .map(|i| scalar.get(i).map(|limb| (code.widened(limb), limb.max)).into_iter().collect())
        .collect();
    joined(code, columns.clone(), terms)
}

/// The digits of the sum of two lists of columns, as many as there are columns.
fn joined(code: &mut Code, mut columns: Columns, more: Columns) -> Vec<Word> {
    let length = columns.len();
    for (column, more) in columns.iter_mut().zip(more) {
        column.extend(more);
    }
    let mut digits = code.carry(&columns, &(Big::from(1u8) << 600));
    digits.truncate(length);
    digits
}

/// (k + 2^132 - 1) / 2 of an odd number, as 5 words.
fn recoded(code: &mut Code, digits: &[Word]) -> Vec<String> {
    let mut words: Vec<String> = (0..4).map(|i| code.window(digits, 32 * i + 1, 32).text).collect();
    let top = code.window(digits, 129, HALF_BITS - 128);
    words.push(format!("{} ^ 8u", top.text));
    words
}
