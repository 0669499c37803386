/* A BERT in GGUF, as llama.cpp's converter writes it, to an embedder's directory. */
#include "config.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "model/convert.h"
#include "model/embed.h"
#include "tests/tiny_bert.h"

static char dir[] = "convert-gguf-t.XXXXXX";

struct bent {			/* what is wrong */
	const char *arch;	/* NULL: "bert" */
	const char *without;	/* tensor or key left out; NULL: none */
	uint32_t heads, pooling;	/* 0: as they are */
};

static void num(struct buf *b, uint64_t v, size_t size)
{
	for (size_t i = 0; i < size; i++)
		buf_addc(b, (char)(v >> 8 * i));
}

static void str(struct buf *b, const char *s)
{
	num(b, strlen(s), 8);
	buf_adds(b, s);
}

static void key_u32(struct buf *b, uint64_t *n, const struct bent *o, const char *key, uint32_t v)
{
	if (o->without && !strcmp(o->without, key))
		return;
	str(b, key);
	num(b, 4, 4);
	num(b, v, 4);
	++*n;
}

/* "attention.self.query.weight" of layer 1 -> "blk.1.attn_q.weight" */
static void their_name(char out[96], const char *ours)
{
	static const char *const pairs[][2] = {
		{ "embeddings.word_embeddings", "token_embd" }, { "embeddings.position_embeddings", "position_embd" },
		{ "embeddings.token_type_embeddings", "token_types" }, { "embeddings.LayerNorm", "token_embd_norm" },
		{ "attention.self.query", "attn_q" }, { "attention.self.key", "attn_k" },
		{ "attention.self.value", "attn_v" }, { "attention.output.dense", "attn_output" },
		{ "attention.output.LayerNorm", "attn_output_norm" }, { "intermediate.dense", "ffn_up" },
		{ "output.dense", "ffn_down" }, { "output.LayerNorm", "layer_output_norm" },
	};
	const char *rest = ours;
	int layer = -1, used = 0;

	if (sscanf(ours, "encoder.layer.%d.%n", &layer, &used) == 1)
		rest += used;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		size_t n = strlen(pairs[i][0]);

		if (strncmp(rest, pairs[i][0], n) || rest[n] != '.')
			continue;
		if (layer < 0)
			snprintf(out, 96, "%s%s", pairs[i][1], rest + n);
		else
			snprintf(out, 96, "blk.%d.%s%s", layer, pairs[i][1], rest + n);
	}
}

static void words(struct buf *b, uint64_t *n)
{
	static const char *const special[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" };
	char word[8];

	str(b, "tokenizer.ggml.tokens");
	num(b, 9, 4), num(b, 8, 4), num(b, TB_VOCAB, 8);
	for (int i = 0; i < TB_VOCAB; i++) {
		snprintf(word, sizeof(word), "%s%c", i < 31 ? "\xE2\x96\x81" : "", 'a' + (i - 5) % 26);
		str(b, i < 5 ? special[i] : word);
	}
	str(b, "tokenizer.ggml.token_type");
	num(b, 9, 4), num(b, 5, 4), num(b, TB_VOCAB, 8);
	for (int i = 0; i < TB_VOCAB; i++)
		num(b, i < 5 ? 3 : 1, 4);
	*n += 2;
}

static void make(const struct bent *o)
{
	struct tb_tensor t[TB_TENSORS_MAX];
	size_t n = tb_tensors(t), at = 0, kept = 0;
	struct buf b = BUF_INIT, keys = BUF_INIT, data = BUF_INIT, list = BUF_INIT;
	uint64_t n_keys = 2;
	char name[96];

	str(&keys, "general.architecture"), num(&keys, 8, 4), str(&keys, o->arch ? o->arch : "bert");
	str(&keys, "bert.attention.layer_norm_epsilon"), num(&keys, 6, 4), buf_add(&keys, &(float){ 1e-12f }, 4);
	key_u32(&keys, &n_keys, o, "bert.block_count", TB_LAYERS);
	key_u32(&keys, &n_keys, o, "bert.embedding_length", TB_HIDDEN);
	key_u32(&keys, &n_keys, o, "bert.feed_forward_length", TB_FFN);
	key_u32(&keys, &n_keys, o, "bert.attention.head_count", o->heads ? o->heads : TB_HEADS);
	key_u32(&keys, &n_keys, o, "bert.pooling_type", o->pooling ? o->pooling : 1);
	words(&keys, &n_keys);
	for (size_t i = 0; i < n; i++) {
		size_t count = (t[i].rows ? t[i].rows : 1) * t[i].columns;

		their_name(name, t[i].name);
		if (o->without && !strcmp(o->without, name))
			continue;
		str(&list, name);
		num(&list, t[i].rows ? 2 : 1, 4), num(&list, t[i].columns, 8);
		if (t[i].rows)
			num(&list, t[i].rows, 8);
		num(&list, 0, 4), num(&list, at, 8);
		for (size_t v = 0; v < count; v++)
			buf_add(&data, &(float){ tiny_bert_value(t[i].name, v) }, 4);
		while (data.len % 32)
			buf_addc(&data, 0);
		at = data.len;
		kept++;
	}
	buf_adds(&b, "GGUF");
	num(&b, 3, 4), num(&b, kept, 8), num(&b, n_keys, 8);
	buf_add(&b, keys.data, keys.len);
	buf_add(&b, list.data, list.len);
	while (b.len % 32)
		buf_addc(&b, 0);
	buf_add(&b, data.data, data.len);
	tb_file(dir, "m.gguf", b.data, b.len);
	buf_release(&b);
	buf_release(&keys);
	buf_release(&data);
	buf_release(&list);
}

static void remove_out(void)
{
	static const char *const files[] = { "config.json", "model.safetensors", "vocab.txt", "modules.json",
					     "config_sentence_transformers.json", "1_Pooling/config.json", "1_Pooling", "" };
	char path[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/out/%s", dir, files[i]);
		remove(path);
	}
}

static int convert(const struct convert_opts *o, struct convert_result *r)
{
	char in[64], out[64];

	snprintf(in, sizeof(in), "%s/m.gguf", dir);
	snprintf(out, sizeof(out), "%s/out", dir);
	return convert_model(r, out, in, o);
}

static int vector(float *out, const char *path)
{
	struct embed_text text = { "the quick brown fox", 19 };
	struct embed *e;
	int rc = embed_open(&e, path, ENCODER_F32, NULL);

	if (!rc)
		rc = embed_texts(out, e, &text, 1, 0, NULL, NULL);
	embed_close(e);
	return rc;
}

int main(void)
{
	static const struct {
		struct bent o;
		int code;
		const char *says;
	} bad[] = {
		{ { .arch = "nomic-bert" }, RAG_EUNSUP, "architecture 'nomic-bert'" },
		{ { .without = "blk.1.ffn_up.bias" }, RAG_EFORMAT, "no tensor 'blk.1.ffn_up.bias'" },
		{ { .without = "bert.block_count" }, RAG_EFORMAT, "bert.block_count is missing" },
		{ { .heads = 5 }, RAG_EFORMAT, "does not divide into 5 heads" },
	};
	struct convert_opts none = CONVERT_OPTS_INIT;
	struct convert_result r;
	float want[TB_HIDDEN], got[TB_HIDDEN];
	char out[64];
	int rc = RAG_ENOMEM;
	unsigned long n;

	if (!mkdtemp(dir)) {
		printf("Bail out! cannot make %s\n", dir);
		return 1;
	}
	snprintf(out, sizeof(out), "%s/out", dir);
	tiny_bert_write(dir, &(struct tiny_bert){ 0 });
	is_int(vector(want, dir), RAG_OK, "the model's own file");
	make(&(struct bent){ 0 });
	is_int(convert(&none, &r), RAG_OK, "the same as GGUF");
	is_str(r.pooling, "mean", "with its pooling");
	ok(r.shape.layers == TB_LAYERS && r.shape.positions == TB_POSITIONS && !r.family, "and shape");
	convert_result_release(&r);
	ok(!vector(got, out) && !memcmp(got, want, sizeof(want)), "gives the same vectors, to the bit");
	remove_out();
	make(&(struct bent){ .pooling = 2 });
	is_int(convert(&none, &r), RAG_OK, "another pooling");
	is_str(r.pooling, "cls", "is kept");
	convert_result_release(&r);
	remove_out();
	make(&(struct bent){ .without = "bert.pooling_type" });
	is_int(convert(&none, &r), RAG_EUNSUP, "none is asked for");
	convert_result_release(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make(&bad[i].o);
		rc = convert(&none, &r);
		ok(rc == bad[i].code && strstr(err_msg(), bad[i].says), "refused: %s", bad[i].says);
		convert_result_release(&r);
	}
	make(&(struct bent){ 0 });
	rc = RAG_ENOMEM;
	for (n = 1; rc == RAG_ENOMEM && n < 5000; n++) {
		mem_fail_at(n);
		rc = convert(&none, &r);
		mem_fail_at(0);
		convert_result_release(&r);
	}
	ok(rc == RAG_OK && n > 100, "each of %lu allocations may fail", n);
	remove_out();
	snprintf(out, sizeof(out), "%s/m.gguf", dir);
	remove(out);
	snprintf(out, sizeof(out), "rm -rf %s", dir);
	return system(out) ? 1 : tap_done();
}
