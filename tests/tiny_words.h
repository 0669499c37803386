/*
 * tiny_words - an embedder whose vectors are bags of the words that a test names.
 *
 * One layer whose attention and feed-forward weights are zero; each word is one
 * dimension, [CLS] and [SEP] are nothing, a word that is not named is next to
 * nothing.  So the cosine of two texts is that of their counts of words.
 */
#ifndef RAG_TESTS_TINY_WORDS_H
#define RAG_TESTS_TINY_WORDS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { BERT_DIM = 64, BERT_FF = 16, BERT_PLACES = 128, BERT_SPECIAL = 4 };

static bool tiny_words_file(const char *dir, const char *name, const struct buf *b)
{
	char path[512];
	FILE *f;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	good = f && fwrite(b->data, 1, b->len, f) == b->len;
	return f && !fclose(f) && good;
}

/* words: small letters, at most BERT_DIM - 1 of them. */
__attribute__((unused))
static bool tiny_words_write(const char *dir, const char *const *words, size_t n_words)
{
	const size_t d = BERT_DIM, vocab = BERT_SPECIAL + n_words;
	const struct {
		const char *name;
		size_t rows, columns;	/* rows 0: a vector */
		float fill;
	} tensor[] = {
		{ "embeddings.word_embeddings.weight", vocab, d, 0 },
		{ "embeddings.position_embeddings.weight", BERT_PLACES, d, 0 },
		{ "embeddings.token_type_embeddings.weight", 2, d, 0 },
		{ "embeddings.LayerNorm.weight", 0, d, 1 },
		{ "embeddings.LayerNorm.bias", 0, d, 0 },
		{ "encoder.layer.0.attention.self.query.weight", d, d, 0 },
		{ "encoder.layer.0.attention.self.query.bias", 0, d, 0 },
		{ "encoder.layer.0.attention.self.key.weight", d, d, 0 },
		{ "encoder.layer.0.attention.self.key.bias", 0, d, 0 },
		{ "encoder.layer.0.attention.self.value.weight", d, d, 0 },
		{ "encoder.layer.0.attention.self.value.bias", 0, d, 0 },
		{ "encoder.layer.0.attention.output.dense.weight", d, d, 0 },
		{ "encoder.layer.0.attention.output.dense.bias", 0, d, 0 },
		{ "encoder.layer.0.attention.output.LayerNorm.weight", 0, d, 1 },
		{ "encoder.layer.0.attention.output.LayerNorm.bias", 0, d, 0 },
		{ "encoder.layer.0.intermediate.dense.weight", BERT_FF, d, 0 },
		{ "encoder.layer.0.intermediate.dense.bias", 0, BERT_FF, 0 },
		{ "encoder.layer.0.output.dense.weight", d, BERT_FF, 0 },
		{ "encoder.layer.0.output.dense.bias", 0, d, 0 },
		{ "encoder.layer.0.output.LayerNorm.weight", 0, d, 1 },
		{ "encoder.layer.0.output.LayerNorm.bias", 0, d, 0 },
	};
	struct buf b = BUF_INIT, head = BUF_INIT;
	size_t at = 0;
	bool good;

	if (mkdir(dir, 0700))
		return false;
	buf_addf(&b, "{\"model_type\":\"bert\",\"num_hidden_layers\":1,\"hidden_size\":%d,"
		 "\"num_attention_heads\":2,\"intermediate_size\":%d,\"vocab_size\":%zu,"
		 "\"max_position_embeddings\":%d,\"type_vocab_size\":2,\"layer_norm_eps\":0.1}",
		 BERT_DIM, BERT_FF, vocab, BERT_PLACES);
	good = tiny_words_file(dir, "config.json", &b);
	buf_clear(&b);
	buf_adds(&b, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
	for (size_t i = 0; i < n_words; i++)
		buf_addf(&b, "%s\n", words[i]);
	good = good && tiny_words_file(dir, "vocab.txt", &b);
	buf_clear(&b);
	for (size_t i = 0; i < sizeof(tensor) / sizeof(*tensor); i++) {
		size_t n = (tensor[i].rows ? tensor[i].rows : 1) * tensor[i].columns;

		buf_addf(&head, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "{", tensor[i].name);
		if (tensor[i].rows)
			buf_addf(&head, "%zu,", tensor[i].rows);
		buf_addf(&head, "%zu],\"data_offsets\":[%zu,%zu]}", tensor[i].columns, at,
			 at + n * sizeof(float));
		at += n * sizeof(float);
	}
	buf_addc(&head, '}');
	while (head.len % 8)
		buf_addc(&head, ' ');
	for (int i = 0; i < 8; i++)
		buf_addc(&b, (char)((uint64_t)head.len >> 8 * i));
	buf_add(&b, head.data, head.len);
	for (size_t i = 0; i < sizeof(tensor) / sizeof(*tensor); i++) {
		size_t rows = tensor[i].rows ? tensor[i].rows : 1;

		for (size_t v = 0; v < rows * tensor[i].columns; v++) {
			size_t row = v / d, column = v % d;
			float value = tensor[i].fill;

			if (i == 0 && row == 1 && column == 0)
				value = 0.005f;		/* [UNK] */
			else if (i == 0 && row >= BERT_SPECIAL && column == row - BERT_SPECIAL + 1)
				value = 8;
			buf_add(&b, &value, sizeof(value));
		}
	}
	good = good && tiny_words_file(dir, "model.safetensors", &b);
	buf_release(&b);
	buf_release(&head);
	return good;
}

#endif
