/*
 * tiny_bert - writes a BERT model's directory of a few kilobytes, sound or not.
 *
 * Widths are no multiples of any kernel's, to meet every tail.  A weight is a
 * function of its tensor's name and its place (tiny_bert_value), so a test can
 * compute the same network in its own way; values are multiples of 1/128
 * below 1 and so exact in every float type.
 */
#ifndef RAG_TESTS_TINY_BERT_H
#define RAG_TESTS_TINY_BERT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	TB_LAYERS = 2, TB_HIDDEN = 44, TB_HEADS = 4, TB_FFN = 75, TB_POSITIONS = 48, TB_TYPES = 2,
	TB_VOCAB = 5 + 26 + 26,	/* specials, letters, ##letters */
	TB_TENSORS_MAX = 64,
};

struct tiny_bert {
	const char *config;	/* members of config.json that replace the sound ones; NULL: none */
	const char *without;	/* tensor left out; NULL: none */
	const char *bent;	/* tensor with a row too many; NULL: none */
	const char *damaged;	/* tensor all of NaN; NULL: none */
	const char *prefix;	/* of the tensors' names; NULL: none */
	const char *type;	/* "F32", "F16", "BF16"; NULL: F32 */
	size_t words;		/* more lines of vocab.txt than there are ids */
	float shift;		/* added to every value of the last layer: another model */
	size_t labels;		/* of a classifier behind a pooler; 0: there is none */
};

struct tb_tensor {
	char name[96];
	size_t rows, columns;	/* rows 0: a vector */
};

static size_t tb_tensors(struct tb_tensor t[TB_TENSORS_MAX])
{
	static const struct { const char *name; size_t rows, columns; } each[] = {
		{ "attention.self.query.weight", TB_HIDDEN, TB_HIDDEN }, { "attention.self.query.bias", 0, TB_HIDDEN },
		{ "attention.self.key.weight", TB_HIDDEN, TB_HIDDEN }, { "attention.self.key.bias", 0, TB_HIDDEN },
		{ "attention.self.value.weight", TB_HIDDEN, TB_HIDDEN }, { "attention.self.value.bias", 0, TB_HIDDEN },
		{ "attention.output.dense.weight", TB_HIDDEN, TB_HIDDEN }, { "attention.output.dense.bias", 0, TB_HIDDEN },
		{ "attention.output.LayerNorm.weight", 0, TB_HIDDEN }, { "attention.output.LayerNorm.bias", 0, TB_HIDDEN },
		{ "intermediate.dense.weight", TB_FFN, TB_HIDDEN }, { "intermediate.dense.bias", 0, TB_FFN },
		{ "output.dense.weight", TB_HIDDEN, TB_FFN }, { "output.dense.bias", 0, TB_HIDDEN },
		{ "output.LayerNorm.weight", 0, TB_HIDDEN }, { "output.LayerNorm.bias", 0, TB_HIDDEN },
	};
	size_t n = 0;

	t[n++] = (struct tb_tensor){ "embeddings.word_embeddings.weight", TB_VOCAB, TB_HIDDEN };
	t[n++] = (struct tb_tensor){ "embeddings.position_embeddings.weight", TB_POSITIONS, TB_HIDDEN };
	t[n++] = (struct tb_tensor){ "embeddings.token_type_embeddings.weight", TB_TYPES, TB_HIDDEN };
	t[n++] = (struct tb_tensor){ "embeddings.LayerNorm.weight", 0, TB_HIDDEN };
	t[n++] = (struct tb_tensor){ "embeddings.LayerNorm.bias", 0, TB_HIDDEN };
	for (int l = 0; l < TB_LAYERS; l++) {
		for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
			snprintf(t[n].name, sizeof(t[n].name), "encoder.layer.%d.%s", l, each[i].name);
			t[n].rows = each[i].rows;
			t[n++].columns = each[i].columns;
		}
	}
	return n;
}

static float tiny_bert_value(const char *name, size_t i)
{
	uint32_t h = 2166136261u;
	int v;

	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	h = (h ^ (uint32_t)i) * 2654435761u;
	h = (h ^ h >> 15) * 2246822519u;
	v = (int)(h >> 16) % 61 - 30;	/* -.23 .. .23 */
	return strstr(name, "LayerNorm.weight") ? (float)(96 + v) / 128 : (float)v / 128;
}

/* f in the 2 or 4 bytes of type: exact, see above. */
static void tb_put(struct buf *b, float f, const char *type)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	if (!strcmp(type, "F32"))
		buf_add(b, &u, 4);
	else if (!strcmp(type, "BF16"))
		buf_add(b, (uint16_t[]){ (uint16_t)(u >> 16) }, 2);
	else if (u << 1 == 0)
		buf_add(b, (uint16_t[]){ 0 }, 2);
	else	/* normal in binary16: the exponent's bias is 112 less */
		buf_add(b, (uint16_t[]){ (uint16_t)((u >> 16 & 0x8000) | ((u & 0x7FFFFFFF) - (112u << 23)) >> 13) }, 2);
}

static bool tb_file(const char *dir, const char *name, const void *data, size_t n)
{
	char path[512];
	FILE *f;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	good = f && fwrite(data, 1, n, f) == n;
	return f && !fclose(f) && good;
}

static bool tb_weights(const char *dir, const struct tiny_bert *o)
{
	struct tb_tensor t[TB_TENSORS_MAX];
	const char *type = o->type ? o->type : "F32";
	size_t n = tb_tensors(t), at = 0, size = strcmp(type, "F32") ? 2 : 4;
	const struct tb_tensor head[] = {
		{ "pooler.dense.weight", TB_HIDDEN, TB_HIDDEN }, { "pooler.dense.bias", 0, TB_HIDDEN },
		{ "classifier.weight", o->labels, TB_HIDDEN }, { "classifier.bias", 0, o->labels },
	};
	struct buf b = BUF_INIT, data = BUF_INIT, file = BUF_INIT;
	bool good;

	for (size_t i = 0; o->labels && i < sizeof(head) / sizeof(head[0]); i++)
		t[n++] = head[i];
	buf_adds(&b, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (size_t i = 0; i < n; i++) {
		const char *prefix = o->prefix && strncmp(t[i].name, "classifier", 10) ? o->prefix : "";
		size_t rows = t[i].rows, count;

		if (o->without && !strcmp(t[i].name, o->without))
			continue;
		if (o->bent && !strcmp(t[i].name, o->bent))
			rows++;
		count = (rows ? rows : 1) * t[i].columns;
		buf_addf(&b, ",\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", prefix, t[i].name, type);
		if (rows)
			buf_addf(&b, "%zu,", rows);
		buf_addf(&b, "%zu],\"data_offsets\":[%zu,%zu]}", t[i].columns, at, at + count * size);
		at += count * size;
		for (size_t v = 0; v < count; v++) {
			float f = tiny_bert_value(t[i].name, v);

			if (strstr(t[i].name, "layer.1.output"))
				f += o->shift;
			if (o->damaged && !strcmp(t[i].name, o->damaged))
				f = __builtin_nanf("");
			tb_put(&data, f, type);
		}
	}
	buf_addc(&b, '}');
	while (b.len % 8)
		buf_addc(&b, ' ');
	buf_add(&file, (uint64_t[]){ b.len }, 8);
	buf_add(&file, b.data, b.len);
	buf_add(&file, data.data, data.len);
	good = tb_file(dir, "model.safetensors", file.data, file.len);
	buf_release(&b);
	buf_release(&data);
	buf_release(&file);
	return good;
}

/* dir exists.  False when a file could not be written. */
__attribute__((unused))
static bool tiny_bert_write(const char *dir, const struct tiny_bert *o)
{
	struct buf b = BUF_INIT;
	bool good;

	buf_addf(&b, "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"num_hidden_layers\":%d,"
		 "\"hidden_size\":%d,\"num_attention_heads\":%d,\"intermediate_size\":%d,"
		 "\"vocab_size\":%d,\"max_position_embeddings\":%d,\"type_vocab_size\":%d,"
		 "\"layer_norm_eps\":1e-12%s%s}",
		 TB_LAYERS, TB_HIDDEN, TB_HEADS, TB_FFN, TB_VOCAB, TB_POSITIONS, TB_TYPES,
		 o->config ? "," : "", o->config ? o->config : "");
	good = tb_file(dir, "config.json", b.data, b.len);
	buf_clear(&b);
	buf_adds(&b, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
	for (int c = 'a'; c <= 'z'; c++)
		buf_addf(&b, "%c\n", c);
	for (int c = 'a'; c <= 'z'; c++)
		buf_addf(&b, "##%c\n", c);
	for (size_t i = 0; i < o->words; i++)
		buf_addf(&b, "word%zu\n", i);
	good = tb_file(dir, "vocab.txt", b.data, b.len) && good;
	buf_release(&b);
	return tb_weights(dir, o) && good;
}

#endif
