//! Sender recovery over secp256k1, in six kernels.
//!
//! | kernel | does |
//! |---|---|
//! | `prepare` | checks r and s, lifts r to the point R |
//! | `scalars` | 1/r for a group at a time, u₁ = -z/r, u₂ = s/r, splits and recodes them |
//! | `tabulate` | odd multiples of R, all with one Z |
//! | `curve` | u₂·R by windows over that table, then u₁·G by a comb |
//! | `finish` | 1/Z for a group at a time, affine coordinates |
//! | `address` | Keccak-256 of the key, status |

use alloy_primitives::uint;

use super::{
    COMB_MULTIPLE, Scheme, Stage, TABLE_ENTRIES, comb_load, one, row_access, shared, with_entry,
};
use crate::gpu::emit::{
    curve::{CurveA, point_functions},
    endomorphism::{BETA, ORDER, split_function},
    field::Field,
    hash::keccak_functions,
    word::{Big, LimbForm},
    words::below,
};
use crate::gpu::host::SECP256K1;

/// The field's prime.
pub(crate) const PRIME: Big =
    uint!(0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f_U640);

/// Words of a request: r, s, flags.
pub(crate) const REQUEST_WORDS: u32 = 17;
/// Bit of the flags: the parity of R's y.
pub(crate) const FLAG_ODD: u32 = 1;
/// Bit of the flags: s above half the order is refused.
pub(crate) const FLAG_LOW_S: u32 = 2;
/// Words of an answer: status, address.
pub(crate) const ANSWER_WORDS: u32 = 6;

/// Sender recovery.
pub(crate) const SCHEME: Scheme = Scheme {
    curve: &SECP256K1,
    stages: &STAGES,
    module,
    request_words: REQUEST_WORDS,
    answer_words: ANSWER_WORDS,
    work_words,
    table_words,
};

const STAGES: [Stage; 6] = [
    Stage { name: "prepare", grouped: false },
    Stage { name: "scalars", grouped: true },
    Stage { name: "tabulate", grouped: false },
    Stage { name: "curve", grouped: false },
    Stage { name: "finish", grouped: true },
    Stage { name: "address", grouped: false },
];

/// Rows of the work buffer, and where each part begins.
struct Rows {
    y: u32,
    z: u32,
    prefix: u32,
    halves: u32,
    comb: u32,
    negative: u32,
    status: u32,
    count: u32,
}

impl Rows {
    const fn new(form: LimbForm) -> Self {
        let limbs = form.count() as u32;
        let halves = 4 * limbs;
        Self {
            y: limbs,
            z: 2 * limbs,
            prefix: 3 * limbs,
            halves,
            comb: halves + 10,
            negative: halves + 18,
            status: halves + 19,
            count: halves + 20,
        }
    }
}

/// Words of the work buffer per request.
const fn work_words(form: LimbForm) -> u32 {
    Rows::new(form).count
}

/// Words of the table buffer per request.
const fn table_words(form: LimbForm) -> u32 {
    TABLE_ENTRIES * 3 * form.count() as u32
}

/// The text of the module that holds this stage.
fn module(form: LimbForm, stage: &Stage) -> String {
    let field = Field::new("p", form, PRIME);
    let order = Field::new("n", form, ORDER);
    let mut text = shared(form, &SCHEME, &rows(form));
    text += &match stage.name {
        "prepare" => prepare(&field),
        "scalars" => scalars(&order),
        "tabulate" => tabulate(&field),
        "curve" => curve(&field),
        "finish" => finish(&field),
        _ => keccak_functions(form) + ADDRESS,
    };
    with_entry(&text, stage)
}

/// The constants that the texts name.
fn rows(form: LimbForm) -> [(&'static str, u32); 10] {
    let rows = Rows::new(form);
    [
        ("X", 0),
        ("Y", rows.y),
        ("Z", rows.z),
        ("PREFIX", rows.prefix),
        ("HALVES", rows.halves),
        ("COMB", rows.comb),
        ("NEGATIVE", rows.negative),
        ("STATUS", rows.status),
        ("FLAG_ODD", FLAG_ODD),
        ("FLAG_LOW_S", FLAG_LOW_S),
    ]
}

fn prepare(field: &Field) -> String {
    let one = Big::from(1u8);
    let mut text = field.helpers();
    text += &field.power_by_runs("p_root", &((PRIME + one) >> 2));
    text += &below("below_order", &ORDER);
    text += &below("low_s", &((ORDER >> 1) + one));
    text + &PREPARE.replace("SEVEN", &field.constant(&Big::from(7u8)).text)
}

const PREPARE: &str = "
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let r = request_words(i, 0u);
    let s = request_words(i, 8u);
    let flags = requests[i * REQUEST_WORDS + 16u];
    let in_range = below_order(r) && below_order(s) && !is_zero(r) && !is_zero(s);
    let x = from_words(r);
    let square = p_add(p_mul(p_sqr(x), x), SEVEN);
    let root = p_root(square);
    let on_curve = p_is_zero(p_canonical(p_sub(p_sqr(root), square)));
    let y = p_canonical(root);
    let other = (y.l0 & 1u) != (flags & FLAG_ODD);
    work_store(X, i, x);
    work_store(Y, i, p_select(y, p_negative(y), other));
    var status = select(INVALID, OK, in_range && on_curve);
    if ((flags & FLAG_LOW_S) != 0u && !low_s(s)) { status = HIGH_S; }
    work_set(STATUS, i, status);
}
";

fn scalars(order: &Field) -> String {
    let mut text = order.helpers() + &order.inverse_by_bits() + &one(order);
    text += &split_function(order.form);
    // A product with R² / R enters Montgomery's form.
    let enter = order.constant(&(Big::from(1u8) << (order.form.bits() * order.form.count())));
    let plain_one = order.plain(&Big::from(1u8));
    text + &SCALARS.replace("ENTER", &enter.text).replace("PLAIN_ONE", &plain_one.text)
}

const SCALARS: &str = "
fn nonzero_r(i: u32) -> Fe {
    let r = n_select(from_words(request_words(i, 0u)), PLAIN_ONE, work_word(STATUS, i) != OK);
    return n_mul(r, ENTER);
}
fn message(i: u32) -> Fe {
    let at = i * 8u;
    return from_words(Words(swapped(digests[at + 7u]), swapped(digests[at + 6u]),
        swapped(digests[at + 5u]), swapped(digests[at + 4u]), swapped(digests[at + 3u]),
        swapped(digests[at + 2u]), swapped(digests[at + 1u]), swapped(digests[at])));
}
fn store_scalars(i: u32, r_inverse: Fe) {
    // u1 = -t: of t and its negative the odd one is taken, with its sign.
    let t = n_canonical(n_mul(message(i), r_inverse));
    let odd = (t.l0 & 1u) == 1u;
    let k = n_select(n_canonical(n_negative(t)), t, odd);
    work_set_words(COMB, i, recoded(to_words(k)));
    work_set(NEGATIVE, i, select(0u, 1u, odd));
    if (n_is_zero(t) && work_word(STATUS, i) == OK) { work_set(STATUS, i, RECOMPUTE); }
    let s = from_words(request_words(i, 8u));
    let h = split_scalar(n_canonical(n_mul(s, r_inverse)));
    work_set(HALVES, i, h.p0);
    work_set(HALVES + 1u, i, h.p1);
    work_set(HALVES + 2u, i, h.p2);
    work_set(HALVES + 3u, i, h.p3);
    work_set(HALVES + 4u, i, h.p4);
    work_set(HALVES + 5u, i, h.q0);
    work_set(HALVES + 6u, i, h.q1);
    work_set(HALVES + 7u, i, h.q2);
    work_set(HALVES + 8u, i, h.q3);
    work_set(HALVES + 9u, i, h.q4);
}
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let g = id.x;
    if (g >= params.groups) { return; }
    var product = n_one();
    for (var j = 0u; j < GROUP; j++) {
        let i = j * params.groups + g;
        if (i < params.count) {
            work_store(PREFIX, i, product);
            product = n_mul(product, nonzero_r(i));
        }
    }
    var inverse = n_inverse(product);
    for (var j = 0u; j < GROUP; j++) {
        let i = (GROUP - 1u - j) * params.groups + g;
        if (i < params.count) {
            let own = n_mul(inverse, work_load(PREFIX, i));
            // First, as storing the scalars may change the status that this depends on.
            inverse = n_mul(inverse, nonzero_r(i));
            store_scalars(i, own);
        }
    }
}
";

fn tabulate(field: &Field) -> String {
    let mut text = field.helpers() + &point_functions(field, CurveA::Zero) + &one(field);
    text += &row_access(field.form, "table");
    text + &TABULATE.replace("BETA", &field.constant(&BETA).text)
}

const TABULATE: &str = "
// The odd multiples 1, 3 .. 15 of R with one Z, which is stored as theirs: on the curve that this
// Z leads to, they are affine. Row k holds x, y and beta * x.
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let x = work_load(X, i);
    let y = work_load(Y, i);
    let twice = point_double(Point(x, y, p_one()));
    let zz = p_sqr(twice.z);
    var sum = Sum(Point(p_mul(x, zz), p_mul(y, p_mul(zz, twice.z)), p_one()), p_one());
    for (var k = 0u; k < TABLE_ENTRIES; k++) {
        if (k > 0u) { sum = point_add(sum.point, twice.x, twice.y); }
        table_store(k * 3u * LIMBS, i, sum.point.x);
        table_store((k * 3u + 1u) * LIMBS, i, sum.point.y);
        table_store((k * 3u + 2u) * LIMBS, i, sum.ratio);
    }
    work_store(Z, i, p_mul(sum.point.z, twice.z));
    var ratio = p_one();
    for (var j = 0u; j < TABLE_ENTRIES; j++) {
        let row = (TABLE_ENTRIES - 1u - j) * 3u * LIMBS;
        let square = p_sqr(ratio);
        let scaled = p_mul(table_load(row, i), square);
        let cube = p_mul(square, ratio);
        ratio = p_mul(ratio, table_load(row + 2u * LIMBS, i));
        table_store(row, i, scaled);
        table_store(row + LIMBS, i, p_mul(table_load(row + LIMBS, i), cube));
        table_store(row + 2u * LIMBS, i, p_mul(scaled, BETA));
    }
}
";

fn curve(field: &Field) -> String {
    let mut text = field.helpers() + &point_functions(field, CurveA::Zero) + &one(field);
    text += &row_access(field.form, "table");
    text += &comb_load(field.form);
    text + COMB_MULTIPLE + CURVE
}

const CURVE: &str = "
// The multiple 2 * digit - 15 of R (half 0) or of lambda * R (half 1).
fn multiple(i: u32, half: u32, window: u32) -> Affine {
    let word = work_word(HALVES + half * 5u + (window >> 3u), i);
    let digit = (word >> ((window & 7u) * 4u)) & 15u;
    let row = select(7u - digit, digit - 8u, digit >= 8u) * 3u * LIMBS;
    let y = table_load(row + LIMBS, i);
    return Affine(table_load(row + half * 2u * LIMBS, i), p_select(p_negative(y), y, digit >= 8u));
}
// Additions of both kinds share one place, which halves the text that is compiled.
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let first = multiple(i, 0u, 32u);
    var p = Point(first.x, first.y, p_one());
    for (var step = 1u; step < 66u + COMB_WINDOWS; step++) {
        var next: Affine;
        if (step < 66u) {
            if ((step & 1u) == 0u) {
                for (var j = 0u; j < 4u; j++) { p = point_double(p); }
            }
            next = multiple(i, step & 1u, 32u - (step >> 1u));
        } else {
            if (step == 66u) { p.z = p_mul(p.z, work_load(Z, i)); }
            next = comb_multiple(i, step - 66u);
        }
        p = point_add(p, next.x, next.y).point;
    }
    work_store(X, i, p.x);
    work_store(Y, i, p.y);
    work_store(Z, i, p.z);
}
";

fn finish(field: &Field) -> String {
    let mut text = field.helpers() + &one(field);
    text += &field.power_by_runs("p_inverse", &(PRIME - Big::from(2u8)));
    text + FINISH
}

const FINISH: &str = "
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let g = id.x;
    if (g >= params.groups) { return; }
    var product = p_one();
    for (var j = 0u; j < GROUP; j++) {
        let i = j * params.groups + g;
        if (i < params.count) {
            var z = work_load(Z, i);
            if (p_is_zero(p_canonical(z))) {
                z = p_one();
                work_store(Z, i, z);
                if (work_word(STATUS, i) == OK) { work_set(STATUS, i, RECOMPUTE); }
            }
            work_store(PREFIX, i, product);
            product = p_mul(product, z);
        }
    }
    var inverse = p_inverse(product);
    for (var j = 0u; j < GROUP; j++) {
        let i = (GROUP - 1u - j) * params.groups + g;
        if (i < params.count) {
            let own = p_mul(inverse, work_load(PREFIX, i));
            inverse = p_mul(inverse, work_load(Z, i));
            let square = p_sqr(own);
            let x = p_canonical(p_mul(work_load(X, i), square));
            let y = p_canonical(p_mul(work_load(Y, i), p_mul(square, own)));
            work_set_words(HALVES, i, to_words(x));
            work_set_words(HALVES + 8u, i, to_words(y));
        }
    }
}
";

const ADDRESS: &str = "
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let x = work_words(HALVES, i);
    let y = work_words(HALVES + 8u, i);
    let key = Block(swapped(x.w7), swapped(x.w6), swapped(x.w5), swapped(x.w4),
        swapped(x.w3), swapped(x.w2), swapped(x.w1), swapped(x.w0),
        swapped(y.w7), swapped(y.w6), swapped(y.w5), swapped(y.w4),
        swapped(y.w3), swapped(y.w2), swapped(y.w1), swapped(y.w0),
        1u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0x80000000u);
    let hash = digest(keccak_f(absorb(empty_state(), key)));
    let at = i * ANSWER_WORDS;
    answers[at] = work_word(STATUS, i);
    answers[at + 1u] = hash.w3;
    answers[at + 2u] = hash.w4;
    answers[at + 3u] = hash.w5;
    answers[at + 4u] = hash.w6;
    answers[at + 5u] = hash.w7;
}
";
