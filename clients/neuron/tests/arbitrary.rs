//! Properties over arbitrary bytes and tensors: nothing from the wire panics, and tensors come back
//! as they went.

use noesis_neuron::{
    check_answer, check_inputs, signature::Envelope, signature::Method, Data, Failure, Modality,
    Tensor, FAILURE_KEY,
};
use noesis_proto::v1;
use proptest::{collection::vec, prelude::*};
use prost::Message;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

const MODALITIES: [Modality; 3] = [Modality::Text, Modality::Image, Modality::Tensor];

/// What holds for whatever is read from the wire.
fn assert_sound(wire: &v1::Tensor) {
    let Ok(tensor) = Tensor::from_wire(wire) else {
        return;
    };
    assert_eq!(tensor.check(), Ok(()));
    assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len());
    assert!(tensor.data.len() * 2 <= wire.data.len());
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
        // Every bit pattern, NaN among them.
        let bits = (0..count as u32).map(|index| seed.wrapping_mul(index.wrapping_add(1)));
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
        let back = Tensor::from_wire(&tensor.to_wire_f16().expect("fits"));
        prop_assert_eq!(back, Ok(tensor));
    }

    #[test]
    fn halves_come_back_as_close_as_halves_can(values in vec(-65504.0_f32..65504.0, 1..3000)) {
        let tensor = Tensor::f32([values.len()], values.clone()).expect("fits");
        prop_assert!(tensor.fits_f16());
        let back = Tensor::from_wire(&tensor.to_wire_f16().expect("fits")).expect("sound");
        let Data::F32(back) = back.data else { panic!("singles") };
        for (value, back) in values.iter().zip(back) {
            let expected = half::f16::from_f32(*value).to_f32();
            prop_assert_eq!(back.to_bits(), expected.to_bits());
        }
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
