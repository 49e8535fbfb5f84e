//! P-256 signature verification, as EIP-7951 defines it, in five kernels.
//!
//! | kernel | does |
//! |---|---|
//! | `verify_prepare` | checks r, s and the key |
//! | `verify_scalars` | 1/s for a group at a time, u₁ = z/s, u₂ = r/s, recodes them |
//! | `verify_tabulate` | odd multiples of the key Q, all with one Z |
//! | `verify_curve` | u₂·Q by windows over that table, then u₁·G by a comb |
//! | `verify_finish` | compares x with r, without an inversion |
//!
//! The curve with one Z for the table has another coefficient a, which doubling takes.

use super::{
    COMB_MULTIPLE, Scheme, Stage, TABLE_ENTRIES, comb_load, one, row_access, shared, with_entry,
};
use crate::gpu::{
    emit::{
        curve::{CurveA, point_functions},
        field::Field,
        word::{Big, LimbForm},
        words::below,
    },
    host::P256,
};

/// P-256 verification.
pub(crate) const SCHEME: Scheme = Scheme {
    curve: &P256,
    stages: &STAGES,
    module,
    request_words: REQUEST_WORDS,
    answer_words: 1,
    work_words,
    table_words,
};

/// Words of a request: r, s, the key's x and y, and the message.
pub(crate) const REQUEST_WORDS: u32 = 40;

const STAGES: [Stage; 5] = [
    Stage { name: "verify_prepare", grouped: false },
    Stage { name: "verify_scalars", grouped: true },
    Stage { name: "verify_tabulate", grouped: false },
    Stage { name: "verify_curve", grouped: false },
    Stage { name: "verify_finish", grouped: false },
];

/// Rows of the work buffer.
fn rows(form: LimbForm) -> [(&'static str, u32); 10] {
    let limbs = form.count() as u32;
    [
        ("X", 0),
        ("Y", limbs),
        ("Z", 2 * limbs),
        ("PREFIX", 3 * limbs),
        ("A", 4 * limbs),
        ("WINDOWS", 5 * limbs),
        ("COMB", 5 * limbs + 8),
        ("NEGATIVE", 5 * limbs + 16),
        ("KEY_NEGATIVE", 5 * limbs + 17),
        ("STATUS", 5 * limbs + 18),
    ]
}

const fn work_words(form: LimbForm) -> u32 {
    5 * form.count() as u32 + 19
}

const fn table_words(form: LimbForm) -> u32 {
    TABLE_ENTRIES * 3 * form.count() as u32
}

fn module(form: LimbForm, stage: &Stage) -> String {
    let field = Field::new("p", form, Big::from(P256.prime));
    let order = Field::new("n", form, Big::from(P256.order));
    let mut text = shared(form, &SCHEME, &rows(form));
    text += &match stage.name {
        "verify_prepare" => prepare(&field),
        "verify_scalars" => scalars(&order),
        "verify_tabulate" => tabulate(&field),
        "verify_curve" => curve(&field),
        _ => finish(&field),
    };
    with_entry(&text, stage)
}

/// R²: a product with it enters Montgomery's form.
fn enter(field: &Field) -> String {
    let top = field.form.bits() * field.form.count();
    field.constant(&(Big::from(1u8) << top)).text
}

fn prepare(field: &Field) -> String {
    let mut text = field.helpers();
    text += &below("below_prime", &field.modulus);
    text += &below("below_order", &Big::from(P256.order));
    let constant = |number| field.constant(&Big::from::<alloy_primitives::U256>(number)).text;
    text + &PREPARE
        .replace("ENTER", &enter(field))
        .replace("CURVE_A", &constant(P256.a))
        .replace("CURVE_B", &constant(P256.b))
}

const PREPARE: &str = "
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let r = request_words(i, 0u);
    let s = request_words(i, 8u);
    let key_x = request_words(i, 16u);
    let key_y = request_words(i, 24u);
    let in_range = below_order(r) && below_order(s) && !is_zero(r) && !is_zero(s)
        && below_prime(key_x) && below_prime(key_y);
    let x = p_mul(from_words(key_x), ENTER);
    let y = p_mul(from_words(key_y), ENTER);
    let cube = p_mul(p_add(p_sqr(x), CURVE_A), x);
    let off = p_canonical(p_sub(p_sqr(y), p_add(cube, CURVE_B)));
    work_store(X, i, x);
    work_store(Y, i, y);
    work_set(STATUS, i, select(INVALID, OK, in_range && p_is_zero(off)));
}
";

fn scalars(order: &Field) -> String {
    let text = order.helpers() + &order.inverse_by_bits() + &one(order);
    let plain_one = order.plain(&Big::from(1u8)).text;
    text + &SCALARS.replace("ENTER", &enter(order)).replace("PLAIN_ONE", &plain_one)
}

const SCALARS: &str = "
fn nonzero_s(i: u32) -> Fe {
    let s = n_select(from_words(request_words(i, 8u)), PLAIN_ONE, work_word(STATUS, i) != OK);
    return n_mul(s, ENTER);
}
// Of t and its negative the odd one is recoded; gives whether that is the negative.
fn store_odd(row: u32, i: u32, t: Fe) -> u32 {
    let odd = (t.l0 & 1u) == 1u;
    let k = n_select(n_canonical(n_negative(t)), t, odd);
    work_set_words(row, i, recoded(to_words(k)));
    return select(1u, 0u, odd);
}
fn store_scalars(i: u32, s_inverse: Fe) {
    let message = from_words(request_words(i, 32u));
    let u1 = n_canonical(n_mul(message, s_inverse));
    let u2 = n_canonical(n_mul(from_words(request_words(i, 0u)), s_inverse));
    work_set(NEGATIVE, i, store_odd(COMB, i, u1));
    work_set(KEY_NEGATIVE, i, store_odd(WINDOWS, i, u2));
    if (n_is_zero(u1) && work_word(STATUS, i) == OK) { work_set(STATUS, i, RECOMPUTE); }
}
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let g = id.x;
    if (g >= params.groups) { return; }
    var product = n_one();
    for (var j = 0u; j < GROUP; j++) {
        let i = j * params.groups + g;
        if (i < params.count) {
            work_store(PREFIX, i, product);
            product = n_mul(product, nonzero_s(i));
        }
    }
    var inverse = n_inverse(product);
    for (var j = 0u; j < GROUP; j++) {
        let i = (GROUP - 1u - j) * params.groups + g;
        if (i < params.count) {
            let own = n_mul(inverse, work_load(PREFIX, i));
            // First, as storing the scalars may change the status that this depends on.
            inverse = n_mul(inverse, nonzero_s(i));
            store_scalars(i, own);
        }
    }
}
";

fn tabulate(field: &Field) -> String {
    let mut text = field.helpers() + &point_functions(field, CurveA::Given) + &one(field);
    text += &row_access(field.form, "table");
    let a = field.constant(&Big::from(P256.a)).text;
    text + &TABULATE.replace("CURVE_A", &a)
}

const TABULATE: &str = "
// The odd multiples 1, 3 .. 15 of Q with one Z, which is stored as theirs, and the coefficient of
// the curve on which they are affine. Row k holds x and y.
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let x = work_load(X, i);
    let y = work_load(Y, i);
    let twice = point_double(Point(x, y, p_one()), CURVE_A);
    let zz = p_sqr(twice.z);
    var sum = Sum(Point(p_mul(x, zz), p_mul(y, p_mul(zz, twice.z)), p_one()), p_one());
    for (var k = 0u; k < TABLE_ENTRIES; k++) {
        if (k > 0u) { sum = point_add(sum.point, twice.x, twice.y); }
        table_store(k * 3u * LIMBS, i, sum.point.x);
        table_store((k * 3u + 1u) * LIMBS, i, sum.point.y);
        table_store((k * 3u + 2u) * LIMBS, i, sum.ratio);
    }
    let z = p_mul(sum.point.z, twice.z);
    work_store(Z, i, z);
    work_store(A, i, p_mul(p_sqr(p_sqr(z)), CURVE_A));
    var ratio = p_one();
    for (var j = 0u; j < TABLE_ENTRIES; j++) {
        let row = (TABLE_ENTRIES - 1u - j) * 3u * LIMBS;
        let square = p_sqr(ratio);
        let cube = p_mul(square, ratio);
        ratio = p_mul(ratio, table_load(row + 2u * LIMBS, i));
        table_store(row, i, p_mul(table_load(row, i), square));
        table_store(row + LIMBS, i, p_mul(table_load(row + LIMBS, i), cube));
    }
}
";

fn curve(field: &Field) -> String {
    let mut text = field.helpers() + &point_functions(field, CurveA::Given) + &one(field);
    text += &row_access(field.form, "table");
    text += &comb_load(field.form);
    text + COMB_MULTIPLE + CURVE
}

const CURVE: &str = "
// The multiple 2 * digit - 15 of Q.
fn multiple(i: u32, window: u32) -> Affine {
    let digit = (work_word(WINDOWS + (window >> 3u), i) >> ((window & 7u) * 4u)) & 15u;
    let high = digit >= 8u;
    let row = select(7u - digit, digit - 8u, high) * 3u * LIMBS;
    let y = table_load(row + LIMBS, i);
    let negative = high == (work_word(KEY_NEGATIVE, i) == 1u);
    return Affine(table_load(row, i), p_select(y, p_negative(y), negative));
}
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let a = work_load(A, i);
    let first = multiple(i, 63u);
    var p = Point(first.x, first.y, p_one());
    for (var step = 1u; step < 64u + COMB_WINDOWS; step++) {
        var next: Affine;
        if (step < 64u) {
            for (var j = 0u; j < 4u; j++) { p = point_double(p, a); }
            next = multiple(i, 63u - step);
        } else {
            if (step == 64u) { p.z = p_mul(p.z, work_load(Z, i)); }
            next = comb_multiple(i, step - 64u);
        }
        p = point_add(p, next.x, next.y).point;
    }
    work_store(X, i, p.x);
    work_store(Z, i, p.z);
}
";

fn finish(field: &Field) -> String {
    let order = Big::from(P256.order);
    let text = field.helpers() + &below("leaves_room", &(field.modulus - order));
    let order = field.constant(&order).text;
    text + &FINISH.replace("ENTER", &enter(field)).replace("ORDER", &order)
}

const FINISH: &str = "
// x = X / Z^2 is r modulo the order: it is r, or r plus the order where that is below the prime.
ENTRY(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= params.count) { return; }
    let zz = p_sqr(work_load(Z, i));
    let words = request_words(i, 0u);
    let r = p_mul(from_words(words), ENTER);
    let x = work_load(X, i);
    let same = p_is_zero(p_canonical(p_sub(x, p_mul(r, zz))));
    let above = p_is_zero(p_canonical(p_sub(x, p_mul(p_add(r, ORDER), zz))));
    var status = work_word(STATUS, i);
    if (status == OK) {
        if (p_is_zero(p_canonical(zz))) {
            status = RECOMPUTE;
        } else {
            status = select(INVALID, OK, same || (above && leaves_room(words)));
        }
    }
    answers[i] = status;
}
";
