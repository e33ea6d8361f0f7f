"""Finding the blocks and their parts in many architectures, and refusing to guess."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
hf = pytest.importorskip("transformers", reason="transformers is not installed")

from torch import nn  # noqa: E402

from overrefusal.activations.structure import Names, find_structure  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from tests.activations.tiny import CONFIGS, hooks, tiny  # noqa: E402

PARTS = {
    "llama": ("model.layers", "self_attn", "mlp"),
    "qwen2": ("model.layers", "self_attn", "mlp"),
    "qwen3": ("model.layers", "self_attn", "mlp"),
    "qwen3_moe": ("model.layers", "self_attn", "mlp"),
    "mistral": ("model.layers", "self_attn", "mlp"),
    "mixtral": ("model.layers", "self_attn", "mlp"),
    # A norm stands between these parts and the stream: what counts is behind it.
    "gemma2": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "olmo2": ("model.layers", "post_attention_layernorm", "post_feedforward_layernorm"),
    "phi3": ("model.layers", "self_attn", "mlp"),
    "granite": ("model.layers", "self_attn", "mlp"),
    "cohere": ("model.layers", "self_attn", "mlp"),
    "gpt_oss": ("model.layers", "self_attn", "mlp"),
    "deepseek_v3": ("model.layers", "self_attn", "mlp"),
    "gpt_neox": ("gpt_neox.layers", "attention", "mlp"),
    "falcon": ("transformer.h", "self_attention", "mlp"),
    "gpt2": ("transformer.h", "attn", "mlp"),
    # Its parts add the stream themselves: what counts is the projection inside.
    "bloom": ("transformer.h", "self_attention.dense", "mlp.dense_4h_to_h"),
}


def test_every_architecture_of_the_tests_is_listed():
    assert PARTS.keys() == CONFIGS.keys()
    assert len(PARTS) >= 12


@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_and_parts_are_found(name):
    structure = find_structure(tiny(name))
    path, attention, mlp = PARTS[name]
    assert structure.path == path
    assert (len(structure), structure.width) == (3, 32)
    assert {(b.attention_name, b.mlp_name) for b in structure.blocks} == {(attention, mlp)}


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_neox", "qwen3_moe"])
def test_half_precision_does_not_blur_the_parts(name):
    structure = find_structure(tiny(name, torch.bfloat16))
    assert (structure.blocks[0].attention_name, structure.blocks[0].mlp_name) == PARTS[name][1:]


def test_finding_leaves_no_hook_and_no_gradient():
    model = tiny("llama")
    find_structure(model)
    assert hooks(model) == 0
    assert all(p.grad is None for p in model.parameters())


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.mixer = nn.Linear(8, 8)

    def forward(self, x):
        return x + self.mixer(self.norm(x))


class Stranger(nn.Module):
    """Blocks of one part, as in Mamba, and a second list that no stream runs through."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.mixers = nn.ModuleList(Mixer() for _ in range(2))
        self.heads = nn.ModuleList(nn.Linear(8, 20) for _ in range(2))

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, use_cache=False):
        x = self.embedding(input_ids)
        for mixer in self.mixers:
            x = mixer(x)
        return self.heads[0](x)


def test_blocks_of_one_part_are_an_error_that_names_what_is_there():
    with pytest.raises(OverrefusalError, match=r"mixers\.0 \(Mixer\).*norm \(LayerNorm\), mixer"):
        find_structure(Stranger().eval())


def test_a_model_without_a_chain_is_an_error_that_names_its_lists():
    model = Stranger().eval()
    model.mixers = nn.ModuleList([model.mixers[0], nn.Identity(), model.mixers[1]])
    model.mixers[1] = nn.ModuleList()
    model.forward = lambda input_ids, use_cache: model.heads[0](model.embedding(input_ids))
    with pytest.raises(OverrefusalError, match=r"no list .*mixers \(3 x Mixer\), heads"):
        find_structure(model)


def test_parts_that_leave_the_shape_of_the_stream_are_an_error():
    # OPT folds rows and tokens into one axis within a block.
    config = hf.OPTConfig(
        vocab_size=97, hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2,
        word_embed_proj_dim=16, max_position_embeddings=32,
    )  # fmt: skip
    with pytest.raises(OverrefusalError, match=r"OPTDecoderLayer.*self_attn \(OPTAttention\).*fc2"):
        find_structure(hf.OPTForCausalLM(config).eval())


def test_an_encoder_decoder_is_an_error():
    config = hf.T5Config(
        d_model=16, d_ff=16, d_kv=4, num_layers=1, num_heads=2, vocab_size=20,
        decoder_start_token_id=0,
    )  # fmt: skip
    with pytest.raises(OverrefusalError, match="does not run on token ids alone"):
        find_structure(hf.T5ForConditionalGeneration(config).eval())


def test_training_mode_is_an_error():
    model = Stranger()
    with pytest.raises(OverrefusalError, match=r"model\.eval"):
        find_structure(model)


def test_names_override_what_would_be_found():
    names = Names("model.layers", "self_attn.o_proj", "mlp.down_proj")
    block = find_structure(tiny("llama"), names).blocks[1]
    assert block.attention is tiny("llama").model.layers[1].self_attn.o_proj
    assert find_structure(Stranger().eval(), Names("mixers", "norm", "mixer")).path == "mixers"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (Names("model.blocks", "self_attn", "mlp"), "no list of modules 'model.blocks'"),
        (Names("model.layers", "attn", "mlp"), "no module 'attn'; it has self_attn, mlp"),
    ],
)
def test_names_that_are_not_there_are_an_error(names, message):
    with pytest.raises(OverrefusalError, match=message):
        find_structure(tiny("llama"), names)
