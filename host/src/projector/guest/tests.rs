use super::*;
use crate::projector::specimen::*;

#[test]
fn healthy() {
    let mut guest = Guest::new(load(HEALTHY), "test");
    let p = guest.project(&[&event(1)]).unwrap();
    assert_eq!(p[0].verdict, Ok(vec![]));
}
