"""Models of real architectures with random weights, under a megabyte each, built in a second: what they say is noise.

With `labels` the noise is a verdict: a model answers with one of them, depending on all that it is shown, and ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"


def tiny_text(folder: Path, *, seed: int = 0, template: str = TEMPLATE, context: int = 4096, labels: Sequence[str] = ()) -> Path:
    """A Qwen3 of 0.1 million parameters."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer(template, labels)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=context, eos_token_id=2, pad_token_id=0,
        initializer_range=0.5 if labels else 0.02,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _saved(Qwen3ForCausalLM(config), tokenizer, folder, labels)


def tiny_vision(folder: Path, *, seed: int = 0, labels: Sequence[str] = ()) -> Path:
    """A Qwen2.5-VL of 0.2 million parameters."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer(TEMPLATE, labels)
    names = ("image_pad", "video_pad", "vision_start", "vision_end")
    ids = {f"{name.removesuffix('_pad')}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.5 if labels else 0.02,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
            "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1],
        },
        **ids,
    )  # fmt: skip
    torch.manual_seed(seed)
    Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112).save_pretrained(folder)
    return _saved(Qwen2_5_VLForConditionalGeneration(config), tokenizer, folder, labels)


def tiny_llava(folder: Path, *, seed: int = 0, labels: Sequence[str] = ()) -> Path:
    """A LLaVA of 0.2 million parameters: what `transformers serve` can load without torchvision."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    template = TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<|image_pad|>")
    tokenizer = _tokenizer(template, labels, extra_special_tokens={"image_token": "<|image_pad|>"})
    image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            image_size=56, patch_size=14, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=4096, eos_token_id=2, pad_token_id=0, initializer_range=0.5 if labels else 0.02,
        ),
        image_token_id=image_id, vision_feature_layer=-1,
    )  # fmt: skip
    size = {"height": 56, "width": 56}
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, crop_size=size), tokenizer=tokenizer, patch_size=14,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=template,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(seed)
    return _saved(LlavaForConditionalGeneration(config), tokenizer, folder, labels)


def _tokenizer(template: str, labels: Sequence[str] = (), **more: Any) -> Any:
    """Bytes and a few merges, so that every text has a reading; a label is one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=CHATML, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(["a small red dress"] * 5, trainer)
    bpe.add_tokens(list(labels))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", **more)
    tokenizer.chat_template = template
    return tokenizer


def _saved(model: Any, tokenizer: Any, folder: Path, labels: Sequence[str]) -> Path:
    if labels:
        _say_only(model, [tokenizer.convert_tokens_to_ids(label) for label in labels])
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _say_only(model: Any, ids: Sequence[int]) -> None:
    """Scores of the labels sum to 0, so that one is above 0, where all other tokens are; after a label the end is far above.

    The first coordinate of the hidden state says that the token was a label: only a label's embedding has it, no layer writes
    to it, and only the end of the reply is scored by it.
    """
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")) and "vision" not in name:
                weight[0] = 0
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        embedding[:, 0] = 0
        embedding[ids] = 0
        embedding[ids, 0] = 1000
        scores = torch.randn(len(ids), head.shape[1])
        head.zero_()
        head[ids] = scores - scores.mean(dim=0)
        head[:, 0] = 0
        head[model.config.get_text_config().eos_token_id, 0] = 1000
