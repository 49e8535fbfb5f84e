//! Points in Jacobian coordinates: doubling and mixed addition, as WGSL functions.
//!
//! No formula asks whether its operands are equal, opposite or the point at infinity. In each of
//! these cases the result's Z is zero, and it stays zero in whatever is added afterwards, so one
//! test of the final Z tells that the answer has to be computed elsewhere.

use super::{
    field::{Element, Field},
    word::Code,
};

/// The coefficient of x in the curve's equation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CurveA {
    /// y² = x³ + b.
    Zero,
    /// y² = x³ + ax + b: `point_double` takes a.
    Given,
}

/// The structs and functions of points over this field.
pub(crate) fn point_functions(field: &Field, a: CurveA) -> String {
    let mut text = "struct Point { x: Fe, y: Fe, z: Fe }\n".to_owned();
    text += "struct Sum { point: Point, ratio: Fe }\n";
    text += &double(field, a);
    text += &add_affine(field);
    text
}

/// One function's body: short names for the field's operations.
struct Body<'a> {
    field: &'a Field,
    code: Code,
}

impl Body<'_> {
    fn mul(&mut self, a: &Element, b: &Element) -> Element {
        self.field.mul(&mut self.code, a, b)
    }

    fn sqr(&mut self, a: &Element) -> Element {
        self.field.sqr(&mut self.code, a)
    }

    fn sub(&mut self, a: &Element, b: &Element) -> Element {
        self.field.sub(&mut self.code, a, b)
    }

    fn add(&mut self, a: &Element, b: &Element) -> Element {
        self.field.add(&mut self.code, a, b)
    }

    fn times(&mut self, a: &Element, factor: u32) -> Element {
        self.field.times(&mut self.code, a, factor)
    }

    fn point(&mut self, x: &Element, y: &Element, z: &Element) -> String {
        let [x, y, z] = [x, y, z].map(|element| self.field.tidied(&mut self.code, element).text);
        format!("Point({x}, {y}, {z})")
    }
}

/// 2P: for a = 0 three products and four squares, for any other a four and six.
fn double(field: &Field, a: CurveA) -> String {
    let mut body = Body { field, code: Code::new(field.form) };
    let [x, y, z] = ["p.x", "p.y", "p.z"].map(|name| field.given(name));
    let yy = body.sqr(&y);
    let xyy = body.mul(&x, &yy);
    let s = body.times(&xyy, 4);
    let slope = match a {
        CurveA::Zero => {
            let xx = body.sqr(&x);
            body.times(&xx, 3)
        }
        CurveA::Given => {
            let xx = body.sqr(&x);
            let three_xx = body.times(&xx, 3);
            let zz = body.sqr(&z);
            let zzzz = body.sqr(&zz);
            let last = body.mul(&field.given("a"), &zzzz);
            body.add(&three_xx, &last)
        }
    };
    let slope = field.tidied(&mut body.code, &slope);
    let s = field.tidied(&mut body.code, &s);
    let square = body.sqr(&slope);
    let twice_s = body.times(&s, 2);
    let x3 = body.sub(&square, &twice_s);
    let x3 = field.tidied(&mut body.code, &x3);
    let rest = body.sub(&s, &x3);
    let turned = body.mul(&slope, &rest);
    let yyyy = body.sqr(&yy);
    let eightfold = body.times(&yyyy, 8);
    let eightfold = field.tidied(&mut body.code, &eightfold);
    let y3 = body.sub(&turned, &eightfold);
    let yz = body.mul(&y, &z);
    let z3 = body.times(&yz, 2);
    let point = body.point(&x3, &y3, &z3);
    body.code.line(&format!("return {point};"));
    let more = if a == CurveA::Given { ", a: Fe" } else { "" };
    format!("fn point_double(p: Point{more}) -> Point {{\n{}}}\n", body.code.text)
}

/// P + (x, y), and the ratio of the result's Z to P's: eight products and three squares.
fn add_affine(field: &Field) -> String {
    let mut body = Body { field, code: Code::new(field.form) };
    let [x1, y1, z1] = ["p.x", "p.y", "p.z"].map(|name| field.given(name));
    let [x2, y2] = ["x", "y"].map(|name| field.given(name));
    let zz = body.sqr(&z1);
    let u = body.mul(&x2, &zz);
    let zzz = body.mul(&z1, &zz);
    let s = body.mul(&y2, &zzz);
    let h = body.sub(&u, &x1);
    let h = field.tidied(&mut body.code, &h);
    let slope = body.sub(&s, &y1);
    let slope = field.tidied(&mut body.code, &slope);
    let hh = body.sqr(&h);
    let hhh = body.mul(&h, &hh);
    let v = body.mul(&x1, &hh);
    let square = body.sqr(&slope);
    let twice_v = body.times(&v, 2);
    let taken = body.add(&twice_v, &hhh);
    let x3 = body.sub(&square, &taken);
    let x3 = field.tidied(&mut body.code, &x3);
    let rest = body.sub(&v, &x3);
    let turned = body.mul(&slope, &rest);
    let down = body.mul(&y1, &hhh);
    let y3 = body.sub(&turned, &down);
    let z3 = body.mul(&z1, &h);
    let point = body.point(&x3, &y3, &z3);
    body.code.line(&format!("return Sum({point}, {});", h.text));
    format!("fn point_add(p: Point, x: Fe, y: Fe) -> Sum {{\n{}}}\n", body.code.text)
}
