use gulo::IntegrationEvent;

#[derive(IntegrationEvent)]
#[event(type = "number.seen")]
union Number {
    small: u8,
    large: u64,
}

fn main() {}
