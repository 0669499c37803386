/*
 * tiny - a model file of one layer that says what a test wants it to say.
 *
 * Its tokenizer is byte-level BPE with one merge that no text meets: 256 bytes,
 * ChatML's control tokens and the words given.  Attention and feed-forward weights are zero
 * and embeddings one-hot, so the next token depends on the last one alone:
 * words[i] is followed by words[i + 1], the last one by words[loop] or, with
 * loop < 0, the end; anything else is followed by words[0].
 */
#ifndef RAG_TESTS_TINY_H
#define RAG_TESTS_TINY_H

#include "base/buf.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* SmolLM2's, the shortest of those that we know. */
#define TINY_CHATML \
	"{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}" \
	"{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging " \
	"Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + " \
	"message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}" \
	"{{ '<|im_start|>assistant\n' }}{% endif %}"

struct tiny {
	const char *chat_template;	/* NULL: none */
	const char *const *words;	/* (n_words) any bytes; distinct, and none a single byte */
	size_t n_words;
	int loop;
	size_t context;
};

enum {
	TINY_DIM = 320, TINY_FF = 32, TINY_MAX_WORDS = 48,
	TINY_END = 256, TINY_START, TINY_TEXT, TINY_TOOL, TINY_PAIR,	/* behind the bytes */
	TINY_WORDS,
	TINY_STR = 8, TINY_ARR = 9, TINY_U32 = 4, TINY_I32 = 5, TINY_F32 = 6, TINY_BOOL = 7,
};

static void tiny_num(struct buf *b, uint64_t v, size_t size)
{
	for (size_t i = 0; i < size; i++)
		buf_addc(b, (char)(v >> 8 * i));
}

static void tiny_str(struct buf *b, const char *s, size_t n)
{
	tiny_num(b, n, 8);
	buf_add(b, s, n);
}

static void tiny_key(struct buf *b, const char *key, unsigned type)
{
	tiny_str(b, key, strlen(key));
	tiny_num(b, type, 4);
}

static void tiny_u32(struct buf *b, const char *key, uint32_t v)
{
	tiny_key(b, key, TINY_U32);
	tiny_num(b, v, 4);
}

static void tiny_text(struct buf *b, const char *key, const char *s)
{
	tiny_key(b, key, TINY_STR);
	tiny_str(b, s, strlen(s));
}

/* GPT-2's alphabet: a byte that prints is itself, the others follow from U+0100. */
static void tiny_piece(struct buf *b, const char *s, size_t n)
{
	struct buf piece = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		uint32_t c = (unsigned char)s[i], code = 256;
		char out[4];

		for (uint32_t k = 0; k <= c; k++) {
			bool prints = (k > 32 && k < 127) || (k > 160 && k != 173);

			if (k == c)
				code = prints ? c : code;
			else
				code += !prints;
		}
		buf_add(&piece, out, utf8_put(out, code));
	}
	tiny_str(b, buf_str(&piece), piece.len);
	buf_release(&piece);
}

static void tiny_vocab(struct buf *b, const struct tiny *t)
{
	static const char *const special[] = { "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<tool_call>" };
	size_t n = TINY_WORDS + t->n_words;

	tiny_key(b, "tokenizer.ggml.tokens", TINY_ARR);
	tiny_num(b, TINY_STR, 4), tiny_num(b, n, 8);
	for (int i = 0; i < 256; i++)
		tiny_piece(b, (char[]){ (char)i }, 1);
	for (int i = 0; i < 4; i++)
		tiny_str(b, special[i], strlen(special[i]));
	tiny_piece(b, "\1\1", 2);
	for (size_t i = 0; i < t->n_words; i++)
		tiny_piece(b, t->words[i], strlen(t->words[i]));
	tiny_key(b, "tokenizer.ggml.token_type", TINY_ARR);
	tiny_num(b, TINY_I32, 4), tiny_num(b, n, 8);
	for (size_t i = 0; i < n; i++)	/* 1 normal, 3 control, 4 user-defined */
		tiny_num(b, i == TINY_TOOL ? 4 : i >= TINY_END && i < TINY_TOOL ? 3 : 1, 4);
	tiny_key(b, "tokenizer.ggml.merges", TINY_ARR);
	tiny_num(b, TINY_STR, 4), tiny_num(b, 1, 8);
	tiny_str(b, "\u0101 \u0101", 5);
}

static void tiny_meta(struct buf *b, const struct tiny *t)
{
	size_t at = b->len;
	uint64_t n = 0;

	tiny_num(b, 0, 8);
	tiny_text(b, "general.architecture", "llama"), n++;
	tiny_text(b, "general.name", "tiny"), n++;
	tiny_u32(b, "llama.block_count", 1), n++;
	tiny_u32(b, "llama.context_length", (uint32_t)t->context), n++;
	tiny_u32(b, "llama.embedding_length", TINY_DIM), n++;
	tiny_u32(b, "llama.feed_forward_length", TINY_FF), n++;
	tiny_u32(b, "llama.attention.head_count", 5), n++;
	tiny_u32(b, "llama.attention.head_count_kv", 5), n++;
	tiny_u32(b, "llama.rope.dimension_count", 64), n++;
	tiny_key(b, "llama.attention.layer_norm_rms_epsilon", TINY_F32), n++;
	buf_add(b, &(float){ 1e-5f }, 4);
	tiny_text(b, "tokenizer.ggml.model", "gpt2"), n++;
	tiny_text(b, "tokenizer.ggml.pre", "smollm"), n++;
	tiny_vocab(b, t), n += 3;
	tiny_u32(b, "tokenizer.ggml.bos_token_id", TINY_START), n++;
	tiny_u32(b, "tokenizer.ggml.eos_token_id", TINY_END), n++;
	tiny_key(b, "tokenizer.ggml.add_bos_token", TINY_BOOL), tiny_num(b, 0, 1), n++;
	if (t->chat_template)
		tiny_text(b, "tokenizer.chat_template", t->chat_template), n++;
	for (int i = 0; i < 8; i++)
		b->data[at + (size_t)i] = (char)(n >> 8 * i);
}

/* What comes behind token i. */
static size_t tiny_next(const struct tiny *t, size_t i)
{
	size_t last = TINY_WORDS + t->n_words - 1;

	if (i < TINY_WORDS)
		return TINY_WORDS;
	if (i < last)
		return i + 1;
	return t->loop < 0 ? TINY_END : TINY_WORDS + (size_t)t->loop;
}

__attribute__((unused))
static bool tiny_write(const char *path, const struct tiny *t)
{
	const size_t vocab = TINY_WORDS + t->n_words, d = TINY_DIM;
	const struct {
		const char *name;
		size_t in, out;		/* out 0: a vector */
	} tensor[] = {
		{ "token_embd.weight", d, vocab }, { "output.weight", d, vocab },
		{ "output_norm.weight", d, 0 }, { "blk.0.attn_norm.weight", d, 0 },
		{ "blk.0.ffn_norm.weight", d, 0 }, { "blk.0.attn_q.weight", d, d },
		{ "blk.0.attn_k.weight", d, d }, { "blk.0.attn_v.weight", d, d },
		{ "blk.0.attn_output.weight", d, d }, { "blk.0.ffn_gate.weight", d, TINY_FF },
		{ "blk.0.ffn_up.weight", d, TINY_FF }, { "blk.0.ffn_down.weight", TINY_FF, d },
	};
	const size_t n = sizeof(tensor) / sizeof(*tensor);
	static float zero[TINY_DIM * TINY_DIM];
	struct buf b = BUF_INIT;
	size_t offset = 0;
	FILE *f;
	bool good;

	buf_adds(&b, "GGUF");
	tiny_num(&b, 3, 4), tiny_num(&b, n, 8);
	tiny_meta(&b, t);
	for (size_t i = 0; i < n; i++) {
		tiny_str(&b, tensor[i].name, strlen(tensor[i].name));
		tiny_num(&b, tensor[i].out ? 2 : 1, 4), tiny_num(&b, tensor[i].in, 8);
		if (tensor[i].out)
			tiny_num(&b, tensor[i].out, 8);
		tiny_num(&b, 0, 4), tiny_num(&b, offset, 8);
		offset += tensor[i].in * (tensor[i].out ? tensor[i].out : 1) * sizeof(float);
	}
	while (b.len % 32)
		buf_addc(&b, 0);
	for (size_t i = 0; i < n; i++) {
		size_t values = tensor[i].in * (tensor[i].out ? tensor[i].out : 1);

		for (size_t v = 0; i > 1 && v < values; v++)
			zero[v] = tensor[i].out ? 0 : 1;
		for (size_t v = 0; i < 2 && v < values; v++) {
			size_t row = v / d, col = v % d;
			float one = 1, none = 0;

			/* embeddings: token = dimension; output: row follows column */
			buf_add(&b, (i ? col < vocab && tiny_next(t, col) == row : row == col)
				    ? &one : &none, sizeof(float));
		}
		if (i > 1)
			buf_add(&b, zero, values * sizeof(float));
	}
	f = fopen(path, "wb");
	good = f && fwrite(b.data, 1, b.len, f) == b.len;
	good = f && !fclose(f) && good;
	buf_release(&b);
	return good;
}

#endif
