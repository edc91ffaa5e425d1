//! Properties over arbitrary bytes and tensors: nothing from the wire panics, and tensors come back
//! as they went.

use noesis_neuron::{
    check_answer, check_inputs, signature::Envelope, signature::Method, Data, Failure, Formats,
    Modality, Tensor, FAILURE_KEY,
};
use noesis_proto::v1;
use proptest::{collection::vec, prelude::*};
use prost::Message;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

const MODALITIES: [Modality; 3] = [Modality::Text, Modality::Image, Modality::Tensor];

/// Bytes that a compressed tensor may hold.
const LIMIT: usize = 1 << 20;

/// What holds for whatever is read from the wire.
fn assert_sound(wire: &v1::Tensor) {
    let Ok(tensor) = Tensor::from_wire_within(wire, LIMIT) else {
        return;
    };
    assert_eq!(tensor.check(), Ok(()));
    assert!(tensor.is_finite());
    assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len());
    assert!(tensor.data.len() <= LIMIT);
    if wire.encoding() == v1::Encoding::Raw {
        assert!(tensor.data.len() <= wire.data.len());
    }
    for modality in MODALITIES {
        let _ = check_inputs(modality, &tensor, 5);
        let _ = check_answer(modality, &tensor, &tensor, Some(4));
    }
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    vec(1_usize..6, 1..5)
}

fn wires() -> impl Strategy<Value = v1::Tensor> {
    // Dimensions around nothing, around what fits, and around all overflows.
    let length = prop_oneof![
        0_u64..9,
        (0_u32..64).prop_map(|power| 1 << power),
        any::<u64>()
    ];
    (
        -1_i32..9,
        vec(length, 0..10),
        vec(any::<u8>(), 0..130),
        -1_i32..3,
    )
        .prop_map(|(dtype, shape, data, encoding)| v1::Tensor {
            dtype,
            shape,
            data: data.into(),
            encoding,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_decode_or_fail(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(message) = v1::ForwardRequest::decode(bytes.as_slice()) {
            message.inputs.iter().for_each(assert_sound);
        }
        if let Ok(message) = v1::BackwardRequest::decode(bytes.as_slice()) {
            message.gradient.iter().for_each(assert_sound);
        }
        if let Ok(message) = v1::ForwardResponse::decode(bytes.as_slice()) {
            message.response.iter().for_each(assert_sound);
        }
        if let Ok(message) = v1::Tensor::decode(bytes.as_slice()) {
            assert_sound(&message);
        }
        let _ = v1::DescribeResponse::decode(bytes.as_slice());
    }

    #[test]
    fn any_tensor_is_sound_or_refused(wire in wires()) {
        assert_sound(&wire);
    }

    #[test]
    fn a_damaged_message_decodes_or_fails(at in 0_usize..40, byte: u8, cut in 0_usize..40) {
        let tensor = Tensor::i64([1, 2], vec![1, 2]).expect("fits");
        let mut bytes = tensor.to_wire().expect("fits").encode_to_vec();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        if let Ok(message) = v1::Tensor::decode(bytes.as_slice()) {
            assert_sound(&message);
        }
    }

    #[test]
    fn singles_come_back_as_they_went(shape in shapes(), seed: u32) {
        let count: usize = shape.iter().product();
        let bits = (0..count as u32).map(|index| seed.wrapping_mul(index.wrapping_add(1)));
        let bits = bits.map(|bits| if f32::from_bits(bits).is_finite() { bits } else { !bits });
        let values: Vec<f32> = bits.clone().map(f32::from_bits).collect();
        let tensor = Tensor::f32(shape.clone(), values).expect("fits");
        let back = Tensor::from_wire(&tensor.to_wire().expect("fits")).expect("sound");
        prop_assert_eq!(back.shape, shape);
        let Data::F32(values) = back.data else { panic!("singles") };
        let bits: Vec<u32> = bits.collect();
        let back: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
        prop_assert_eq!(back, bits);
    }

    #[test]
    fn whole_numbers_come_back_as_they_went(shape in shapes(), seed: i64) {
        let count: usize = shape.iter().product();
        let values = (0..count as i64).map(|index| seed.wrapping_mul(index)).collect();
        let tensor = Tensor::i64(shape, values).expect("fits");
        let back = Tensor::from_wire(&tensor.to_wire_in(Formats::NONE).expect("fits"));
        prop_assert_eq!(back, Ok(tensor));
    }

    #[test]
    fn halves_come_back_as_close_as_halves_can(values in vec(-65504.0_f32..65504.0, 1..3000)) {
        let tensor = Tensor::f32([values.len()], values.clone()).expect("fits");
        let back = Tensor::from_wire(&tensor.to_wire_in(Formats::NONE).expect("fits")).expect("sound");
        let Data::F32(back) = back.data else { panic!("singles") };
        for (value, back) in values.iter().zip(back) {
            let expected = half::f16::from_f32(*value).to_f32();
            prop_assert_eq!(back.to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn upper_halves_come_back_as_close_as_they_can(values in vec(-1e38_f32..1e38, 1..3000)) {
        let tensor = Tensor::f32([values.len()], values.clone()).expect("fits");
        let formats = Formats { bf16: true, ..Formats::NONE };
        let wire = tensor.to_wire_in(formats).expect("fits");
        prop_assert_eq!(wire.data.len(), 2 * values.len());
        let Data::F32(back) = Tensor::from_wire(&wire).expect("sound").data else { panic!("singles") };
        for (value, back) in values.iter().zip(back) {
            let expected = half::bf16::from_f32(*value).to_f32();
            prop_assert_eq!(back.to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn bytes_with_a_scale_come_back_within_half_a_step(
        rows in vec((-150_i32..129, vec(-1.0_f32..1.0, 5)), 1..40),
    ) {
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|(power, row)| {
                row.iter().map(move |value| (f64::from(*value) * f64::from(*power).exp2()) as f32)
            })
            .map(|value| value.clamp(f32::MIN, f32::MAX))
            .collect();
        let tensor = Tensor::f32([rows.len(), 5], values.clone()).expect("fits");
        let formats = Formats { int8: true, ..Formats::NONE };
        let wire = tensor.to_wire_in(formats).expect("fits");
        prop_assert_eq!(wire.data.len(), rows.len() * (5 + 4));
        let back = Tensor::from_wire(&wire).expect("sound");
        let Data::F32(back) = back.data else { panic!("singles") };
        for (row, back) in values.chunks(5).zip(back.chunks(5)) {
            let largest = row.iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
            // Half a step, the rounding of the scale itself, and the smallest normal number.
            let near = largest / 127.0 * 0.5001 + largest * 1e-6 + f64::from(f32::MIN_POSITIVE) * 64.0;
            for (value, back) in row.iter().zip(back) {
                let gap = (f64::from(*value) - f64::from(*back)).abs();
                prop_assert!(gap <= near, "{value} came back as {back}, of {largest}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_not_read(at in 0_usize..1200, infinite: bool, names in 0_usize..4) {
        let mut values = vec![1.0_f32; 1200];
        values[at] = if infinite { f32::NEG_INFINITY } else { f32::NAN };
        let formats = ["f32", "f16", "bf16", "int8"][names].parse().expect("a name");
        let tensor = Tensor::f32([300, 4], values).expect("fits");
        let back = Tensor::from_wire(&tensor.to_wire_in(formats).expect("fits"));
        prop_assert_eq!(back, Err(Failure::NotFinite));
    }

    #[test]
    fn compressed_comes_back_as_uncompressed(values in vec(-9.0_f32..9.0, 1..2000), zeros in 0_usize..2000) {
        let mut values = values;
        values.resize(values.len() + zeros, 0.0);
        let tensor = Tensor::f32([1, values.len()], values).expect("fits");
        for name in ["f32", "f16", "bf16", "int8"] {
            let raw: Formats = name.parse().expect("a name");
            let packed = tensor.to_wire_in(Formats { zstd: true, ..raw }).expect("fits");
            let raw = tensor.to_wire_in(raw).expect("fits");
            prop_assert!(packed.data.len() <= raw.data.len());
            prop_assert_eq!(Tensor::from_wire(&packed), Tensor::from_wire(&raw));
        }
    }

    #[test]
    fn a_damaged_frame_decompresses_or_fails(
        at in 0_usize..4000, byte: u8, cut in 0_usize..40, length in 1_u64..5000,
    ) {
        let tensor = Tensor::i64([1, 3000], (0..3000).map(|index| index % 77).collect()).expect("fits");
        let mut wire = tensor.to_wire_in("zstd".parse().expect("a name")).expect("fits");
        prop_assert_eq!(wire.encoding(), v1::Encoding::Zstd);
        let mut bytes = wire.data.to_vec();
        let count = bytes.len();
        bytes[at % count] = byte;
        bytes.truncate(count - cut % count);
        wire.data = bytes.into();
        assert_sound(&wire);
        wire.shape = vec![1, length];
        assert_sound(&wire);
    }

    #[test]
    fn any_headers_are_an_envelope_or_refused(
        fields in vec((0_usize..9, vec(any::<u8>(), 0..140)), 0..12),
    ) {
        const KEYS: [&str; 9] = [
            "noesis-genesis", "noesis-sender", "noesis-receiver", "noesis-nonce", "noesis-expiry",
            "noesis-body", "noesis-signature", FAILURE_KEY, "grpc-timeout",
        ];
        let mut headers = HeaderMap::new();
        for (key, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(HeaderName::from_static(KEYS[key]), value);
            }
        }
        let read = Envelope::read(Method::Forward, &headers);
        prop_assert!(matches!(read, Err(Failure::Unauthenticated(_))));
    }
}
