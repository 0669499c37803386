/* Tokenizers made by hand: small enough to say what every id must be, and broken in every field. */
#include "config.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/tok.h"

enum { T_I32 = 5, T_F32, T_BOOL, T_STR, T_ARR, T_U32 = 4 };	/* GGUF value types */

static char dir[] = "tokfile-t.XXXXXX";
static char path[64];
static unsigned long fail_open;	/* the allocation of an opening that fails */

struct file {
	struct buf kv;
	uint64_t n;
};

static void put(struct buf *b, uint64_t v, size_t size)
{
	while (size--) {
		buf_addc(b, (char)v);
		v >>= 8;
	}
}

static void put_str(struct buf *b, const char *s, size_t n)
{
	put(b, n, 8);
	buf_add(b, s, n);
}

static void key(struct file *f, const char *name, uint32_t type)
{
	put_str(&f->kv, name, strlen(name));
	put(&f->kv, type, 4);
	f->n++;
}

static void key_str(struct file *f, const char *name, const char *value)
{
	key(f, name, T_STR);
	put_str(&f->kv, value, strlen(value));
}

static void key_u32(struct file *f, const char *name, uint32_t value)
{
	key(f, name, T_U32);
	put(&f->kv, value, 4);
}

static void key_bool(struct file *f, const char *name, bool value)
{
	key(f, name, T_BOOL);
	put(&f->kv, value, 1);
}

static void key_arr(struct file *f, const char *name, uint32_t type, uint64_t n)
{
	key(f, name, T_ARR);
	put(&f->kv, type, 4);
	put(&f->kv, n, 8);
}

static void write_to(const char *to, const char *data, size_t n)
{
	FILE *f = fopen(to, "wb");

	if (!f || fwrite(data, 1, n, f) != n || fclose(f))
		printf("Bail out! cannot write '%s'\n", to);
}

/* Writes the file and opens its tokenizer; frees f. */
static int open_file(struct tok **out, struct file *f)
{
	struct buf b = BUF_INIT;
	struct gguf *g = NULL;
	int rc;

	buf_adds(&b, "GGUF");
	put(&b, 3, 4);
	put(&b, 0, 8);
	put(&b, f->n, 8);
	buf_add(&b, f->kv.data, f->kv.len);
	write_to(path, b.data, b.len);
	buf_release(&b);
	buf_release(&f->kv);
	*out = NULL;
	rc = gguf_open(&g, path);
	mem_fail_at(fail_open);
	if (!rc)
		rc = tok_from_gguf(out, g);
	mem_fail_at(0);
	gguf_close(g);
	return rc;
}

/* What a test changes in the well-formed file. */
struct lie {
	const char *name;
	int rc;
	const char *says;
	const char *model, *pre;	/* NULL: as it should be; "": the key is left out */
	int bytes;			/* byte tokens; 0: 256 */
	const char *extra;		/* in place of the token "abc" */
	int types, scores;		/* entries more (or fewer) than tokens */
	int type;			/* of the last token; 0: as it should be */
	const char *merge;		/* in place of "ab c" */
	int merges;			/* 1: an empty array, 2: none */
	int bos;			/* id; 0: 257 or 1 */
	float score;
	bool want_eos;
};

/* GPT-2's code points for bytes, by its rule. */
static uint32_t code_of(int b)
{
	uint32_t next = 0x100;
	int i;

	for (i = 0; i <= b; i++) {
		bool shown = (i > 0x20 && i < 0x7F) || (i > 0xA0 && i != 0xAD);

		if (i == b)
			return shown ? (uint32_t)b : next;
		next += !shown;
	}
	return 0;
}

/* 0 .. 255 bytes, 256 "<|end|>", 257 "<s>", 258 "ab", 259 "abc", 260 "bc", 261 "<call>",
 * 262 "\n\n" (user-defined), 263 "[PAD263]" (unused) */
static int open_bpe(struct tok **out, const struct lie *l)
{
	static const char *const merges[] = { "b c", "a b", "ab c" };
	const char *more[] = { "<|end|>", "<s>", "ab", "abc", "bc", "<call>", "\n\n", "[PAD263]" };
	static const int types[] = { 3, 3, 1, 1, 1, 4, 4, 5 };
	struct file f = { BUF_INIT, 0 };
	int bytes = l->bytes ? l->bytes : 256, n = bytes + 8, i;
	char c[4];

	if (!l->model || *l->model)
		key_str(&f, "tokenizer.ggml.model", l->model ? l->model : "gpt2");
	if (!l->pre || *l->pre)
		key_str(&f, "tokenizer.ggml.pre", l->pre ? l->pre : "gpt-2");
	if (l->extra)
		more[3] = l->extra;
	key_arr(&f, "tokenizer.ggml.tokens", T_STR, (uint64_t)n);
	for (i = 0; i < bytes; i++)
		put_str(&f.kv, c, utf8_put(c, code_of(i)));
	for (i = 0; i < 8; i++)
		put_str(&f.kv, more[i], strlen(more[i]));
	key_arr(&f, "tokenizer.ggml.token_type", T_I32, (uint64_t)(n + l->types));
	for (i = 0; i < n + l->types; i++)
		put(&f.kv, (uint64_t)(i == n - 1 && l->type ? l->type :
				      i < bytes || i >= n ? 1 : types[i - bytes]), 4);
	if (l->merges != 2) {
		key_arr(&f, "tokenizer.ggml.merges", T_STR, l->merges ? 0 : 3);
		for (i = 0; i < 3 && !l->merges; i++) {
			const char *m = i == 2 && l->merge ? l->merge : merges[i];

			put_str(&f.kv, m, strlen(m));
		}
	}
	key_u32(&f, "tokenizer.ggml.bos_token_id", l->bos ? (uint32_t)l->bos : 257);
	key_bool(&f, "tokenizer.ggml.add_bos_token", true);
	key_bool(&f, "tokenizer.ggml.add_eos_token", l->want_eos);
	return open_file(out, &f);
}

/* 0 <unk>, 1 <s>, 2 </s>, 3 .. 258 bytes, then words with their scores. */
static int open_spm(struct tok **out, const struct lie *l)
{
	static const char *const words[] = {
		"\xE2\x96\x81", "a", "b", "c", "ab", "bc", "\xE2\x96\x81""ab", "\xC3\xA9", "\n\n", "<td>",
	};
	static const float scores[] = { -9, -9, -9, -9, -3, -2, -1, -9, 0, 0 };
	struct file f = { BUF_INIT, 0 };
	int n = 259 + 10, i;
	float score;
	uint32_t bits;
	char name[8];

	key_str(&f, "tokenizer.ggml.model", "llama");
	key_arr(&f, "tokenizer.ggml.tokens", T_STR, (uint64_t)n);
	put_str(&f.kv, "<unk>", 5);
	put_str(&f.kv, "<s>", 3);
	put_str(&f.kv, "</s>", 4);
	for (i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), l->bytes ? "<1x%02X>" : "<0x%02X>", (unsigned)i);
		put_str(&f.kv, name, 6);
	}
	for (i = 0; i < 10; i++)
		put_str(&f.kv, words[i], strlen(words[i]));
	if (l->scores != 99) {
		key_arr(&f, "tokenizer.ggml.scores", T_F32, (uint64_t)(n + l->scores));
		for (i = 0; i < n + l->scores; i++) {
			score = i < 259 || i >= n ? 0 : l->score != 0 && i == n - 1 ? l->score : scores[i - 259];
			memcpy(&bits, &score, sizeof(bits));
			put(&f.kv, bits, 4);
		}
	}
	key_arr(&f, "tokenizer.ggml.token_type", T_I32, (uint64_t)(n + l->types));
	for (i = 0; i < n + l->types; i++)
		put(&f.kv, (uint64_t)(i == 0 ? 2 : i < 3 ? 3 : i < 259 ? (l->type ? l->type : 6) :
				      i >= 267 && i < 269 ? 4 : 1), 4);
	if (l->bos)
		key_u32(&f, "tokenizer.ggml.bos_token_id", (uint32_t)l->bos);
	return open_file(out, &f);
}

static void encodes(const struct tok *t, const char *s, unsigned flags, const char *want)
{
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	struct buf b = BUF_INIT;
	size_t i;

	if (tok_encode(&ids, t, s, strlen(s), flags))
		buf_adds(&b, err_msg());
	for (i = 0; i < ids.len; i++)
		buf_addf(&b, "%s%d", i ? " " : "", (int)ids.id[i]);
	is_str(buf_str(&b), want, want);
	buf_release(&b);
	tok_ids_release(&ids);
}

static void test_bpe(void)
{
	static const struct lie truth, merging = { .pre = "qwen2" }, whole = { .pre = "llama-bpe" };
	struct buf b = BUF_INIT;
	struct tok *t;

	if (!ok(!open_bpe(&t, &truth), "a byte-level BPE opens"))
		return;
	encodes(t, "abc", 0, "97 260");			/* bc comes first, then nothing joins a */
	encodes(t, "ab abcc", TOK_ADD, "257 258 32 97 260 99");
	encodes(t, "<s><|end|><call>", 0, "60 115 62 60 124 101 110 100 124 62 60 99 97 108 108 62");
	encodes(t, "<s><|end|><call>", TOK_PARSE, "257 256 261");
	encodes(t, "a\n\n\nb[PAD263]", 0, "97 262 10 98 91 80 65 68 50 54 51 93");
	ok(tok_find(t, "bc") == 260 && tok_find(t, "\xC4\xA0") == 32 && tok_find(t, "<call>") == 261 &&
	   tok_find(t, "[PAD263]") == 263 && tok_find(t, "zz") == -1 && tok_find(t, "") == -1, "ids by name");
	ok(tok_is_control(t, 256) && tok_is_control(t, 261) && !tok_is_control(t, 262) && !tok_is_control(t, 97),
	   "what is control");
	ok(tok_is_end(t, 256) && !tok_is_end(t, 257) && !tok_is_end(t, 9999), "<|end|> ends a turn");
	tok_piece(&b, t, 262, false);
	tok_piece(&b, t, 261, false);
	tok_piece(&b, t, 32, false);
	tok_piece(&b, t, 263, false);
	is_str(buf_str(&b), "\n\n [PAD263]", "pieces");
	buf_release(&b);
	tok_close(t);
	if (ok(!open_bpe(&t, &merging), "with another scanner"))
		encodes(t, " abc", 0, "32 97 260");
	tok_close(t);
	if (ok(!open_bpe(&t, &whole), "and one that takes whole words"))
		encodes(t, "abc abc", TOK_ADD, "257 259 32 97 260");
	tok_close(t);
}

/* A word too long for the scan of all pairs gives what its parts give: z joins nothing. */
static void test_long_word(void)
{
	static const struct lie truth;
	struct tok_ids one = { NULL, NULL, NULL, 0, 0 }, two = { NULL, NULL, NULL, 0, 0 };
	struct buf b = BUF_INIT;
	unsigned seed = 5, round, i, from;
	size_t wrong = 0;
	struct tok *t;

	if (!ok(!open_bpe(&t, &truth), "for long words"))
		return;
	for (round = 0; round < 500; round++) {
		buf_clear(&b);
		one.len = two.len = 0;
		for (i = 0; i < 200; i++) {
			seed = seed * 1103515245 + 12345;
			buf_addc(&b, i % 40 == 39 ? 'z' : "abc"[(seed >> 16) % 3]);
		}
		wrong += tok_encode(&one, t, b.data, b.len, 0) != 0;
		for (from = 0; from < 200; from += 40)
			wrong += tok_encode(&two, t, b.data + from, 40, 0) != 0;
		wrong += one.len != two.len || memcmp(one.id, two.id, one.len * sizeof(*one.id));
	}
	is_int((long long)wrong, 0, "the heap merges as the scan does");
	tok_ids_release(&one);
	tok_ids_release(&two);
	buf_release(&b);
	tok_close(t);
}

static void test_spm(void)
{
	static const struct lie truth;
	struct buf b = BUF_INIT;
	struct tok *t;
	int32_t i;

	if (!ok(!open_spm(&t, &truth), "a SentencePiece model opens"))
		return;
	encodes(t, "ab", TOK_ADD, "1 265");
	encodes(t, "abc", 0, "259 260 264");		/* bc has the better score */
	encodes(t, "\xC3\xA9\xC3\xA8", 0, "259 266 198 171");
	encodes(t, "a\n\nab", 0, "259 260 267 265");
	encodes(t, "<s>", 0, "259 63 118 65");
	encodes(t, "<s><td>", TOK_PARSE, "1 268");
	encodes(t, "\xFF\x80", 0, "259 258 131");
	encodes(t, "", TOK_ADD, "1");
	for (i = 259; i <= 266; i++)
		tok_piece(&b, t, i, false);
	tok_piece(&b, t, 3 + 'x', false);
	tok_piece(&b, t, 1, false);
	is_str(buf_str(&b), " abcabbc ab\xC3\xA9x", "pieces");
	ok(tok_find(t, "ab") == 263 && tok_find(t, "</s>") == 2 && tok_is_end(t, 2), "ids by name");
	buf_release(&b);
	tok_close(t);
}

static const struct lie bpe_lies[] = {
	{ .name = "no tokenizer model", .rc = RAG_EFORMAT, .says = "tokenizer.ggml.model", .model = "" },
	{ .name = "another tokenizer model", .rc = RAG_EUNSUP, .says = "'rwkv'", .model = "rwkv" },
	{ .name = "no pre-tokenizer", .rc = RAG_EUNSUP, .says = "not named", .pre = "" },
	{ .name = "another pre-tokenizer", .rc = RAG_EUNSUP, .says = "'tekken'", .pre = "tekken" },
	{ .name = "half of the bytes", .rc = RAG_EFORMAT, .says = "of the 256 bytes", .bytes = 128,
	  .bos = 1 },
	{ .name = "a token twice", .rc = RAG_EFORMAT, .says = "the same", .extra = "ab" },
	{ .name = "a type too many", .rc = RAG_EFORMAT, .says = "265 token types", .types = 1 },
	{ .name = "a type too few", .rc = RAG_EFORMAT, .says = "263 token types", .types = -1 },
	{ .name = "no types", .rc = RAG_EFORMAT, .says = "0 token types", .types = -264 },
	{ .name = "an unknown type", .rc = RAG_EFORMAT, .says = "type 99", .type = 99 },
	{ .name = "a negative type", .rc = RAG_EFORMAT, .says = "type -1", .type = -1 },
	{ .name = "a merge of what is no token", .rc = RAG_EFORMAT, .says = "merge 2", .merge = "ab q" },
	{ .name = "a merge outside the alphabet", .rc = RAG_EFORMAT, .says = "merge 2", .merge = "a \x01" },
	{ .name = "a merge without a space", .rc = RAG_EFORMAT, .says = "no pair", .merge = "abc" },
	{ .name = "a merge of one", .rc = RAG_EFORMAT, .says = "no pair", .merge = "a " },
	{ .name = "an empty merge", .rc = RAG_EFORMAT, .says = "no pair", .merge = "" },
	{ .name = "a merge that gives a control token", .rc = RAG_EFORMAT, .says = "merge 2", .merge = "< s>" },
	{ .name = "a long merge", .rc = RAG_EFORMAT, .says = "merge 2",
	  .merge = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" },
	{ .name = "no merges", .rc = RAG_EFORMAT, .says = "0 entries", .merges = 1 },
	{ .name = "a BOS id beyond the tokens", .rc = RAG_EFORMAT, .says = "bos_token_id is 264", .bos = 264 },
	{ .name = "a BOS id of 2^32-1", .rc = RAG_EFORMAT, .says = "bos_token_id is 4294967295", .bos = -1 },
	{ .name = "EOS wanted but not named", .rc = RAG_EFORMAT, .says = "eos_token_id is missing", .want_eos = true },
};

static const struct lie spm_lies[] = {
	{ .name = "no bytes", .rc = RAG_EFORMAT, .says = "no token for byte <0x00>", .bytes = 1 },
	{ .name = "bytes of another type", .rc = RAG_EFORMAT, .says = "another type", .type = 1 },
	{ .name = "a score too few", .rc = RAG_EFORMAT, .says = "268 scores", .scores = -1 },
	{ .name = "no scores", .rc = RAG_EFORMAT, .says = "scores is missing", .scores = 99 },
	{ .name = "a score that is no number", .rc = RAG_EFORMAT, .says = "not finite", .score = __builtin_nanf("") },
	{ .name = "an infinite score", .rc = RAG_EFORMAT, .says = "not finite", .score = __builtin_inff() },
	{ .name = "a type too many", .rc = RAG_EFORMAT, .says = "270 token types", .types = 1 },
	{ .name = "a BOS id beyond the tokens", .rc = RAG_EFORMAT, .says = "bos_token_id is 269", .bos = 269 },
};

static void refused(int (*open_it)(struct tok **, const struct lie *), const struct lie *l)
{
	struct tok *t;
	int rc = open_it(&t, l);

	ok(rc == l->rc && strstr(err_msg(), l->says) && strstr(err_msg(), path), "%s: %s", l->name,
	   rc ? err_msg() : "it opened");
	tok_close(t);
}

static void open_words(const char *name, const char *text, int rc, const char *says)
{
	struct buf p = BUF_INIT;
	struct tok *t = NULL;
	int got;

	buf_addf(&p, "%s/%s", dir, name);
	if (text)
		write_to(p.data, text, strlen(text));
	got = tok_open_dir(&t, dir);
	ok(got == rc && (!rc || strstr(err_msg(), says)), "%s: %s", name, rc ? err_msg() : "opens");
	if (!got && tok_vocab(t) == 8)
		encodes(t, "Ab abq \xC3\x81", TOK_ADD, says);
	tok_close(t);
	unlink(p.data);
	buf_release(&p);
}

#define WP_JSON(kind, b_id) "{\"model\": {\"type\": \"" kind "\", \"vocab\": {\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, " \
	"\"[SEP]\": 3, \"[MASK]\": 4, \"a\": 5, \"ab\": 6, \"##b\": " b_id "}}, \"normalizer\": {\"type\": " \
	"\"BertNormalizer\"}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}}"

static void test_wordpiece(void)
{
	open_words("vocab.txt", NULL, RAG_ENOENT, "neither");
	open_words("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nab\r\n##b", RAG_OK, "2 6 1 5 3");
	open_words("vocab.txt", "", RAG_EFORMAT, "0 tokens");
	open_words("vocab.txt", "[UNK]\n[CLS]\na\n", RAG_EFORMAT, "'[SEP]'");
	open_words("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\nb\na\n", RAG_EFORMAT, "3 and 5 are the same");
	open_words("tokenizer.json", WP_JSON("WordPiece", "7"), RAG_OK, "2 6 1 5 3");
	open_words("tokenizer.json", WP_JSON("Unigram", "7"), RAG_EUNSUP, "'Unigram'");
	open_words("tokenizer.json", WP_JSON("WordPiece", "8"), RAG_EFORMAT, "'##b' has id 8");
	open_words("tokenizer.json", WP_JSON("WordPiece", "-1"), RAG_EFORMAT, "'##b' has id -1");
	open_words("tokenizer.json", WP_JSON("WordPiece", "6"), RAG_EFORMAT, "another has it");
	open_words("tokenizer.json", "{\"model\": {\"type\": \"WordPiece\"}, \"normalizer\": {\"type\": \"BertNormalizer\"}, "
		   "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}}", RAG_EFORMAT, "0 tokens");
	open_words("tokenizer.json", "[", RAG_EFORMAT, "tokenizer.json");
}

/* Each allocation fails in turn: the code is RAG_ENOMEM, ids that were there stay. */
static void test_memory(int (*open_it)(struct tok **, const struct lie *), const char *name)
{
	static const struct lie truth;
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	struct tok *t;
	unsigned long n;
	char s[200];
	int rc = RAG_ENOMEM;

	memset(s, 'b', sizeof(s));
	memcpy(s, "\xFF<s> ab", 7);
	for (n = 1; n < 2000 && rc == RAG_ENOMEM; n++) {
		fail_open = n;
		rc = open_it(&t, &truth);
		fail_open = 0;
		if (!rc)
			break;
	}
	if (!ok(!rc && n > 10, "%s: opening survives each of %lu failed allocations", name, n - 1))
		return;
	for (n = 1, rc = RAG_ENOMEM; n < 2000 && rc == RAG_ENOMEM; n++) {
		tok_ids_release(&ids);
		mem_fail_at(n);
		rc = tok_encode(&ids, t, s, sizeof(s), TOK_ADD | TOK_PARSE);
		mem_fail_at(0);
		if (rc && ids.len)
			break;
	}
	ok(!rc && n > 5, "%s: encoding does, too (%lu)", name, n - 2);
	tok_ids_release(&ids);
	tok_close(t);
}

int main(void)
{
	size_t i;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/model.gguf", dir);
	test_bpe();
	test_long_word();
	test_spm();
	for (i = 0; i < sizeof(bpe_lies) / sizeof(*bpe_lies); i++)
		refused(open_bpe, &bpe_lies[i]);
	for (i = 0; i < sizeof(spm_lies) / sizeof(*spm_lies); i++)
		refused(open_spm, &spm_lies[i]);
	test_wordpiece();
	test_memory(open_bpe, "bpe");
	test_memory(open_spm, "spm");
	unlink(path);
	rmdir(dir);
	return tap_done();
}
