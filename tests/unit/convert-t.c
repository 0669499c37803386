#include "config.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "model/convert.h"
#include "model/embed.h"
#include "model/onnx_bert.h"
#include "tests/tiny_onnx.h"

static char dir[] = "convert-t.XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][256];
	static int n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void put(const char *name, const char *s)
{
	tb_file(dir, name, s, strlen(s));
}

static void make(const struct tiny_onnx *o, const char *name)
{
	struct buf b = BUF_INIT;

	tiny_onnx(&b, o);
	tb_file(dir, name, b.data, b.len);
	buf_release(&b);
}

static void remove_model(const char *name)
{
	static const char *const files[] = { "config.json", "model.safetensors", "vocab.txt", "tokenizer.json",
					     "tokenizer_config.json", "sentence_bert_config.json", "modules.json",
					     "config_sentence_transformers.json", "1_Pooling/config.json", "1_Pooling", "" };
	char path[512];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", dir, name, files[i]);
		remove(path);
	}
}

static int convert(const char *onnx, const struct convert_opts *o)
{
	struct convert_opts none = CONVERT_OPTS_INIT;
	struct convert_result r;
	int rc = convert_model(&r, in_dir("out"), in_dir(onnx), o ? o : &none);

	convert_result_release(&r);
	return rc;
}

/* (3, TB_HIDDEN) vectors of texts and of a query, in f32. */
static int vectors(float *out, const char *path)
{
	static const struct embed_text texts[] = { { "abc xyz", 7 }, { "the quick brown fox", 19 } };
	struct embed *e;
	int rc = embed_open(&e, path, ENCODER_F32, NULL);

	if (!rc)
		rc = embed_texts(out, e, texts, 2, 1, NULL, NULL);
	if (!rc)
		rc = embed_query(out + 2 * TB_HIDDEN, e, "fox", 3);
	embed_close(e);
	return rc;
}

/* Converted, each form of the graph gives what the model's own file gives, to the bit. */
static void test_same(void)
{
	static const struct {
		struct tiny_onnx o;
		const char *what;
	} each[] = {
		{ { 0 }, "elementary operators" }, { { .fused_norm = true }, "LayerNormalization" },
		{ { .fused_gelu = true }, "Gelu" }, { { .upright = true }, "weights behind a Transpose" },
		{ { .loose_heads = true }, "heads by what is left, scores scaled before" },
		{ { .typed_floats = true }, "numbers in fields of their type" },
	};
	struct convert_opts mean = { .pooling = "mean" };
	float want[3 * TB_HIDDEN], got[3 * TB_HIDDEN];

	tiny_bert_write(dir, &(struct tiny_bert){ 0 });
	is_int(vectors(want, dir), RAG_OK, "the model's own file");
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		make(&each[i].o, "m.onnx");
		is_int(convert("m.onnx", &mean), RAG_OK, each[i].what);
		memset(got, 0, sizeof(got));
		ok(!vectors(got, in_dir("out")) && !memcmp(got, want, sizeof(want)), "and the vectors are the same");
		remove_model("out");
	}
}

static void test_settings(void)
{
	struct convert_opts cls = { .pooling = "cls", .prefix = "find: ", .max_tokens = 9 }, mean = { .pooling = "mean" };
	struct convert_opts none = CONVERT_OPTS_INIT;
	struct convert_result r;
	float a[3 * TB_HIDDEN], b[3 * TB_HIDDEN];
	char words[64];
	struct embed *e;

	make(&(struct tiny_onnx){ 0 }, "m.onnx");
	is_int(convert("m.onnx", NULL), RAG_EUNSUP, "pooling that nobody knows");
	ok(strstr(err_msg(), "1_Pooling"), "is asked for");
	is_int(convert("m.onnx", &(struct convert_opts){ .pooling = "max" }), RAG_EINVAL, "another is refused");
	is_int(convert("m.onnx", &(struct convert_opts){ .pooling = "cls", .max_tokens = 2 }), RAG_EINVAL, "texts too short");
	is_int(convert("m.onnx", &cls), RAG_OK, "told all");
	is_int(embed_open(&e, in_dir("out"), ENCODER_F32, NULL), RAG_OK, "it opens");
	is_int((long long)embed_max_tokens(e), 9, "with its length");
	embed_close(e);
	vectors(a, in_dir("out"));
	remove_model("out");
	convert("m.onnx", &mean);
	vectors(b, in_dir("out"));
	ok(memcmp(a, b, sizeof(float) * TB_HIDDEN), "its pooling");
	is_int(convert("m.onnx", &mean), RAG_EINVAL, "a folder that holds something");
	ok(strstr(err_msg(), "not empty"), "is left alone");
	remove_model("out");
	mkdir(in_dir("out"), 0700);
	is_int(convert("m.onnx", &mean), RAG_OK, "an empty one will do");
	remove_model("out");

	mkdir(in_dir("1_Pooling"), 0700);
	put("1_Pooling/config.json", "{\"pooling_mode_cls_token\": true}");
	put("config_sentence_transformers.json", "{\"prompts\": {\"query\": \"find: \"}}");
	put("sentence_bert_config.json", "{\"max_seq_length\": 9}");
	is_int(convert("m.onnx", NULL), RAG_OK, "what lies beside it");
	ok(!vectors(b, in_dir("out")) && !memcmp(a, b, sizeof(a)), "does as well");
	remove_model("out");
	mkdir(in_dir("onnx"), 0700);
	make(&(struct tiny_onnx){ 0 }, "onnx/model.onnx");
	is_int(convert("onnx/model.onnx", NULL), RAG_OK, "or above it");
	ok(!vectors(b, in_dir("out")) && !memcmp(a, b, sizeof(a)), "the same");
	remove_model("out");
	put("1_Pooling/config.json", "{\"pooling_mode_max_tokens\": true}");
	is_int(convert("m.onnx", NULL), RAG_EUNSUP, "pooling that we don't have");
	put("1_Pooling/config.json", "{");
	is_int(convert("m.onnx", NULL), RAG_EFORMAT, "settings that are none");
	ok(strstr(err_msg(), "1_Pooling/config.json"), "are named");
	remove(in_dir("1_Pooling/config.json"));
	remove(in_dir("1_Pooling"));
	remove(in_dir("config_sentence_transformers.json"));
	remove(in_dir("sentence_bert_config.json"));

	make(&(struct tiny_onnx){ 0 }, "bge-small-en-v1.5.onnx");
	is_int(convert_model(&r, in_dir("out"), in_dir("bge-small-en-v1.5.onnx"), &none), RAG_OK, "a family by its name");
	ok(r.family && !strcmp(r.pooling, "cls") && strstr(r.prefix, "Represent this sentence"), "is said");
	ok(r.shape.layers == TB_LAYERS && r.shape.heads == TB_HEADS && r.shape.ffn == TB_FFN, "with its shape");
	convert_result_release(&r);
	remove_model("out");
	rename(in_dir("vocab.txt"), in_dir("words.txt"));
	is_int(convert("m.onnx", &mean), RAG_ENOENT, "no tokenizer");
	ok(strstr(err_msg(), "no tokenizer beside"), "is said");
	snprintf(words, sizeof(words), "%s/words.txt", dir);
	mean.tokenizer = words;
	is_int(convert("m.onnx", &mean), RAG_OK, "unless it is told");
	remove_model("out");
	put("words.txt", "[PAD]\n[UNK]\n");
	is_int(convert("m.onnx", &mean), RAG_EFORMAT, "a tokenizer of another model");
	ok(access(in_dir("out"), F_OK) < 0, "and nothing is left");
	remove(in_dir("words.txt"));
	tiny_bert_write(dir, &(struct tiny_bert){ 0 });
}

/* tokenizer.json alone: its words as lines, and the same vectors. */
static void test_words(void)
{
	struct convert_opts mean = { .pooling = "mean" };
	float want[3 * TB_HIDDEN], got[3 * TB_HIDDEN];
	struct buf b = BUF_INIT;

	vectors(want, dir);
	buf_adds(&b, "{\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[PAD]\": 0, "
		 "\"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"[MASK]\": 4");
	for (int i = 0; i < 52; i++)
		buf_addf(&b, ", \"%s%c\": %d", i < 26 ? "" : "##", 'a' + i % 26, 5 + i);
	buf_adds(&b, "}}, \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": true}, "
		 "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}}");
	make(&(struct tiny_onnx){ 0 }, "m.onnx");
	remove(in_dir("vocab.txt"));
	put("m-tokenizer.json", buf_str(&b));
	is_int(convert("m.onnx", &mean), RAG_OK, "a tokenizer of the file's name");
	ok(!access(in_dir("out/vocab.txt"), R_OK) && !access(in_dir("out/tokenizer_config.json"), R_OK), "gives words as lines");
	ok(!vectors(got, in_dir("out")) && !memcmp(got, want, sizeof(want)), "and the same vectors");
	remove(in_dir("out/vocab.txt"));
	ok(!vectors(got, in_dir("out")) && !memcmp(got, want, sizeof(want)), "as it does itself");
	remove_model("out");
	remove(in_dir("m-tokenizer.json"));
	put("m-tokenizer.json", "{");
	is_int(convert("m.onnx", &mean), RAG_EFORMAT, "one that is none");
	ok(strstr(err_msg(), "m-tokenizer.json"), "is named");
	remove(in_dir("m-tokenizer.json"));
	tiny_bert_write(dir, &(struct tiny_bert){ 0 });
	buf_release(&b);
}

/* Other architectures, and damage: which node, and why. */
static void test_refused(void)
{
	static const struct {
		struct tiny_onnx o;
		int code;
		const char *says;
	} each[] = {
		{ { .act = "Tanh" }, RAG_EUNSUP, "(Mul): GELU in its erf form is expected" },
		{ { .bias = true }, RAG_EUNSUP, "only the attention mask may be added" },
		{ { .wide = true }, RAG_EFORMAT, "output.dense is 44x76, by the others 44x75" },
		{ { .scale = 1 }, RAG_EUNSUP, "square root of a head's width" },
		{ { .words = true }, RAG_EUNSUP, "positions that do not depend on the words" },
		{ { .external = true }, RAG_EUNSUP, "lies in another file" },
		{ { .half = true }, RAG_EUNSUP, "of 16-bit floats: convert" },
		{ { .no_output = true }, RAG_EFORMAT, "no output" },
	};
	struct convert_opts mean = { .pooling = "mean" };

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		int rc;

		make(&each[i].o, "m.onnx");
		rc = convert("m.onnx", &mean);
		ok(rc == each[i].code && strstr(err_msg(), each[i].says) && strstr(err_msg(), "m.onnx'"),
		   "refused: %s", each[i].says);
	}
	is_int(convert("none.onnx", &mean), RAG_ENOENT, "no file");
	put("m.onnx", "");
	is_int(convert("m.onnx", &mean), RAG_EFORMAT, "an empty one");
	put("m.onnx", "This is no protocol buffer at all.");
	is_int(convert("m.onnx", &mean), RAG_EFORMAT, "one of another kind");
	is_int(convert("config.json", &mean), RAG_EFORMAT, "another");
}

static int find(const char *path)
{
	struct bert_weights b = { 0 };
	struct onnx *o = NULL;
	int rc = onnx_open(&o, path);

	if (!rc)
		rc = onnx_bert_find(&b, o);
	bert_weights_release(&b);
	onnx_close(o);
	return rc;
}

static void test_damaged(void)
{
	struct buf b = BUF_INIT;
	size_t wrong = 0, found = 0;
	bool named = true;
	uint64_t x = 88172645463325252u;

	tiny_onnx(&b, &(struct tiny_onnx){ 0 });
	for (size_t n = 0; n < b.len; n += 1 + b.len / 400) {
		tb_file(dir, "cut.onnx", b.data, n);
		wrong += find(in_dir("cut.onnx")) != RAG_EFORMAT;
		named &= strstr(err_msg(), "cut.onnx'") != NULL && (n < 3 || strstr(err_msg(), "at byte"));
	}
	is_int((long long)wrong, 0, "cut anywhere it is damaged");
	ok(named, "the message has the file and the byte");
	/* Whatever a lying byte does, it is a code or another sound graph. */
	for (int i = 0; i < 400; i++) {
		size_t at;
		char was;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = (size_t)(x % b.len);
		was = b.data[at];
		b.data[at] ^= (char)(1 << (x >> 60 & 7));
		tb_file(dir, "cut.onnx", b.data, b.len);
		found += find(in_dir("cut.onnx")) == RAG_OK;
		b.data[at] = was;
	}
	ok(found > 0 && found < 400, "of 400 wrong bits some are in names and weights (%zu), some are seen", found);
	buf_release(&b);
}

static void test_memory(void)
{
	struct convert_opts mean = { .pooling = "mean" };
	int rc = RAG_ENOMEM;
	unsigned long n;

	make(&(struct tiny_onnx){ 0 }, "m.onnx");
	for (n = 1; rc == RAG_ENOMEM && n < 5000; n++) {
		mem_fail_at(n);
		rc = convert("m.onnx", &mean);
		mem_fail_at(0);
		if (rc == RAG_ENOMEM && access(in_dir("out"), F_OK) == 0)
			break;
	}
	ok(rc == RAG_OK && n > 100, "each of %lu allocations may fail, and nothing is left then", n);
	remove_model("out");
}

int main(void)
{
	static const char *const files[] = { "m.onnx", "cut.onnx", "bge-small-en-v1.5.onnx", "onnx/model.onnx", "onnx" };

	if (!mkdtemp(dir)) {
		printf("Bail out! cannot make %s\n", dir);
		return 1;
	}
	test_same();
	test_settings();
	test_words();
	test_refused();
	test_damaged();
	test_memory();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		remove(in_dir(files[i]));
	remove_model("");
	remove(dir);
	return tap_done();
}
