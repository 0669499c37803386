/* With arguments: the scanners against their regular expressions on each line of those files. */
#include "config.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/regex.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/tok_impl.h"

static unsigned seed = 7;

static unsigned rnd(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

/* Scanners and their twins */

#define ENGLISH "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA(digits) "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|" \
	"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" \
	"\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
	const char *pre, *first, *then;		/* each cuts what the one before has left whole */
} twins[] = {
	{ "gpt-2", ENGLISH, NULL },
	{ "smollm", "\\p{N}|\\P{N}+", ENGLISH },
	{ "qwen2", LLAMA("\\p{N}"), NULL },
	{ "llama-bpe", LLAMA("\\p{N}{1,3}"), NULL },
};
#define TWINS (sizeof(twins) / sizeof(*twins))

struct twin {
	struct regex *first, *then;
	size_t (*scan)(const char *s, size_t n);
	const char *s;
	size_t n, at, base;
};

/* A piece of the regular expression must be the scanner's next piece. */
static int compare(void *arg, size_t start, size_t end)
{
	struct twin *t = arg;

	if (t->base + start != t->at || t->scan(t->s + t->at, t->n - t->at) != end - start)
		return 1;
	t->at = t->base + end;
	return 0;
}

static int compare_inside(void *arg, size_t start, size_t end)
{
	struct twin *t = arg;

	t->base = start;
	return regex_each(t->then, t->s + start, end - start, compare, t);
}

static bool same(struct twin *t, const char *s, size_t n)
{
	t->s = s;
	t->n = n;
	t->at = t->base = 0;
	return !regex_each(t->first, s, n, t->then ? compare_inside : compare, t) && t->at == n;
}

/* Characters that every version of Unicode since 8 sees alike. */
static void random_text(struct buf *b, unsigned chars)
{
	static const char *const bits[] = {
		" ", " ", "  ", "\n", "\r\n", "\t", "\xC2\xA0", "\xE3\x80\x80", "'s", "'S", "'ll", "'Re", "'",
		"1", "42", "\xC2\xB2", "\xD9\xA3", "\xE2\x85\xA7", "\xCC\x81", "\xE2\x82\xAC", "!", "?\n", "<", "\x01",
	};
	char c[4];

	buf_clear(b);
	while (chars--) {
		if (rnd(3))
			buf_adds(b, bits[rnd(sizeof(bits) / sizeof(*bits))]);
		else if (rnd(2))
			buf_addc(b, (char)('A' + rnd(26) + (rnd(4) ? 32 : 0)));
		else
			buf_add(b, c, utf8_put(c, rnd(2) ? 0xC0 + rnd(0x180) : 0x4E00 + rnd(0x5000)));
	}
}

static size_t each_line(const char *path, struct twin *t, size_t *texts)
{
	struct map m = { NULL, 0 };
	const char *p, *end, *line;
	size_t wrong = 0;

	if (map_open(&m, path))
		return 1;
	p = (const char *)m.data;
	for (end = p + m.len; p < end; p = line + 1) {
		line = memchr(p, '\n', (size_t)(end - p));
		line = line ? line : end;
		wrong += !same(t, p, (size_t)(line - p));
		++*texts;
	}
	map_close(&m);
	return wrong;
}

static void test_scanners(int n_files, char **files)
{
	struct buf b = BUF_INIT;
	size_t i, wrong, texts;
	int k;

	for (i = 0; i < TWINS; i++) {
		struct twin t = { NULL, NULL, tok_scanner(twins[i].pre, strlen(twins[i].pre)), NULL, 0, 0, 0 };

		if (regex_new(&t.first, twins[i].first) || (twins[i].then && regex_new(&t.then, twins[i].then))) {
			ok(false, "%s: the regular expression compiles", twins[i].pre);
			continue;
		}
		for (texts = wrong = 0; texts < 20000; texts++) {
			random_text(&b, 1 + rnd(24));
			wrong += !same(&t, b.data, b.len);
		}
		ok(!wrong, "%s: scanner and regular expression cut %zu random texts alike (%zu not)",
		   twins[i].pre, texts, wrong);
		for (k = 0, texts = wrong = 0; k < n_files; k++)
			wrong += each_line(files[k], &t, &texts);
		if (n_files)
			ok(!wrong, "%s: and %zu lines of files (%zu not)", twins[i].pre, texts, wrong);
		regex_free(t.first);
		regex_free(t.then);
	}
	ok(!tok_scanner("gpt-4o", 6), "another pre-tokenizer is not known");
	buf_release(&b);
}

/* Real models */

static bool model_path(struct buf *b, const char *name)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");

	buf_clear(b);
	if (cache)
		buf_addf(b, "%s/models/%s", cache, name);
	else
		buf_addf(b, "%s/.cache/ragstone/models/%s", home ? home : "", name);
	return !access(b->data, R_OK);
}

static struct tok *open_model(const char *path)
{
	struct gguf *g = NULL;
	struct tok *t = NULL;

	if (strcmp(path + strlen(path) - 5, ".gguf")) {
		tok_open_dir(&t, path);
		return t;
	}
	if (!gguf_open(&g, path)) {
		tok_from_gguf(&t, g);
		gguf_close(g);
	}
	return t;
}

/* One line of the golden file: are the ids what the reference gave? */
static bool golden_line(const struct tok *t, const struct json *line, const char *model)
{
	const struct json *text = json_get(line, "text"), *want = json_get(line, model);
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	size_t i, n = json_str_len(text);
	bool good = !tok_encode(&ids, t, json_str(text, NULL), n, TOK_ADD) &&
		    ids.len == json_len(want);

	for (i = 0; good && i < ids.len; i++) {
		good = ids.id[i] == json_int(json_at(want, i), -1);
		good = good && ids.start[i] <= ids.end[i] && ids.end[i] <= n;
		good = good && (!i || ids.start[i] >= ids.start[i - 1]);
	}
	if (!good)
		printf("# %s: '%s'\n", model, json_str(text, ""));
	tok_ids_release(&ids);
	return good;
}

static void test_golden(const struct tok *t, const char *model)
{
	const char *srcdir = getenv("srcdir");
	struct buf path = BUF_INIT;
	struct map m = { NULL, 0 };
	struct json *line;
	const char *p, *end, *nl;
	size_t texts = 0, wrong = 0;

	buf_addf(&path, "%s/tests/golden/tokens.jsonl", srcdir ? srcdir : ".");
	if (!ok(!map_open(&m, path.data), "the golden file is there"))
		return;
	p = (const char *)m.data;
	for (end = p + m.len; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		nl = nl ? nl : end;
		wrong += json_parse(&line, p, (size_t)(nl - p), path.data) || !golden_line(t, line, model);
		json_free(line);
		texts++;
	}
	ok(texts > 300 && !wrong, "%s: ids of %zu golden texts, %zu differ", model, texts, wrong);
	map_close(&m);
	buf_release(&path);
}

static bool has_any(const char *s, size_t n, const char *bytes)
{
	while (n--)
		if (s[n] && strchr(bytes, s[n]))
			return true;
	return false;
}

/* lost: bytes that are no token of this model. */
static void test_round_trip(const struct tok *t, const char *model, const char *lost)
{
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	struct buf in = BUF_INIT, out = BUF_INIT;
	size_t round, i, len, wrong = 0, gaps = 0;
	uint32_t c;
	char s[4];

	for (round = 0; round < 3000; round++) {
		buf_clear(&in);
		buf_clear(&out);
		ids.len = 0;
		for (i = rnd(60); i; i--) {
			c = rnd(3) ? rnd(0x80) : rnd(2) ? rnd(0x3000) : rnd(0x110000);
			len = utf8_put(s, c);
			if (has_any(s, len, lost) || utf8_valid(s, len) != len)
				continue;
			buf_add(&in, s, len);
		}
		tok_encode(&ids, t, buf_str(&in), in.len, 0);
		for (i = 0; i < ids.len; i++) {
			gaps += ids.start[i] != (i ? ids.end[i - 1] : 0);
			tok_piece(&out, t, ids.id[i], false);
		}
		gaps += ids.len && ids.end[ids.len - 1] != in.len;
		wrong += out.len != in.len || (in.len && memcmp(in.data, out.data, in.len));
	}
	ok(!wrong, "%s: decoding gives the text back (%zu not)", model, wrong);
	ok(!gaps, "%s: spans cover the text without gaps", model);
	ids.len = 0;
	/* The last two begin sequences of four. */
	is_int(tok_encode(&ids, t, lost, strlen(lost) > 2 ? strlen(lost) - 2 : 0, 0), RAG_OK, "lost bytes");
	is_int((long long)ids.len, 0, "are dropped, as llama.cpp does");
	tok_ids_release(&ids);
	buf_release(&in);
	buf_release(&out);
}

static void test_long(const struct tok *t, const char *model)
{
	static const char *const fill[] = { "a", " ", "ab", "\n", "\xE4\xB8\xAD", "'", "0" };
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	struct buf b = BUF_INIT;
	clock_t start = clock();
	size_t i, failed = 0;

	for (i = 0; i < sizeof(fill) / sizeof(*fill); i++) {
		buf_clear(&b);
		ids.len = 0;
		while (b.len < 1 << 20)
			buf_adds(&b, fill[i]);
		failed += tok_encode(&ids, t, b.data, b.len, TOK_PARSE) != RAG_OK;
	}
	/* Where a merge looked at all others it would be hours. */
	ok(!failed && (double)(clock() - start) / CLOCKS_PER_SEC < 60,
	   "%s: a megabyte of the same takes linear time", model);
	tok_ids_release(&ids);
	buf_release(&b);
}

static const char *encoded(struct buf *b, const struct tok *t, const char *s, unsigned flags)
{
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	size_t i;
	int rc = tok_encode(&ids, t, s, strlen(s), flags);

	buf_clear(b);
	if (rc)
		return err_msg();
	for (i = 0; i < ids.len; i++)
		buf_addf(b, "%s%d@%u-%u", i ? " " : "", (int)ids.id[i], ids.start[i], ids.end[i]);
	tok_ids_release(&ids);
	return buf_str(b);
}

static void test_minilm(const struct tok *t)
{
	struct buf b = BUF_INIT, json = BUF_INIT;

	is_str(encoded(&b, t, "caf\xC3\xA9s e\xCC\x81 [SEP]", 0),
	       "23812@0-6 1041@7-10 1031@11-12 19802@12-15 1033@15-16",
	       "minilm: spans are of the text as it was, [SEP] is text");
	is_str(encoded(&b, t, "a[SEP]b", TOK_PARSE | TOK_ADD), "101@0-0 1037@0-1 102@1-6 1038@6-7 102@7-7",
	       "minilm: [SEP] is parsed when asked for");
	ok(tok_vocab(t) == 30522 && tok_bos(t) == 101 && tok_eos(t) == 102 &&
	   tok_find(t, "[MASK]") == 103 && tok_find(t, "##ing") == 2075 && tok_find(t, "zzzz") == -1,
	   "minilm: vocabulary");
	ok(tok_is_control(t, 101) && !tok_is_control(t, 2075) && !tok_is_control(t, -1), "minilm: control");
	is_str(tok_kind(t), "wordpiece", "minilm: kind");
	is_int(tok_piece(&json, t, 30522, true), RAG_EINVAL, "minilm: an id beyond the vocabulary");
	buf_release(&b);
	buf_release(&json);
}

static void test_qwen(const struct tok *t)
{
	struct buf b = BUF_INIT;

	is_str(encoded(&b, t, "Hi<|im_end|>", 0), "13048@0-2 27@2-3 91@3-4 318@4-6 6213@6-10 91@10-11 29@11-12",
	       "qwen: a control string is text");
	is_str(encoded(&b, t, "Hi<|im_end|>\n", TOK_PARSE), "13048@0-2 151645@2-12 198@12-13", "qwen: unless asked for");
	is_str(encoded(&b, t, "<tool_call>", TOK_PARSE), "151657@0-11", "qwen: user-defined markup likewise");
	ok(!strstr(encoded(&b, t, "<tool_call>", 0), "151657"), "qwen: and is text otherwise");
	is_str(encoded(&b, t, "a\xFF\xC0\x80z", 0), "64@0-1 5691@1-2 188@2-4 89@4-5", "qwen: invalid UTF-8 as llama.cpp reads it");
	ok(tok_vocab(t) == 151936 && tok_find(t, "<|im_end|>") == 151645 && tok_is_end(t, 151645) &&
	   tok_find(t, "\xC4\xA0the") == 279 && !tok_is_end(t, 279) && tok_find(t, "[PAD151665]") == 151665,
	   "qwen: vocabulary");
	buf_clear(&b);
	tok_piece(&b, t, 151645, false);
	tok_piece(&b, t, 279, false);
	tok_piece(&b, t, 151645, true);
	is_str(buf_str(&b), " the<|im_end|>", "qwen: control tokens are shown when asked for");
	is_str(tok_kind(t), "bpe/qwen2", "qwen: kind");
	buf_release(&b);
}

static void test_models(void)
{
	static const struct {
		const char *name, *path, *lost;
		void (*more)(const struct tok *t);
	} models[] = {
		{ "minilm", "all-minilm-l6-v2", NULL, test_minilm },
		{ "smollm2", "smollm2-135m-instruct/model.gguf", "\x04\x06\x13\x14\x16\x1D\xF1\xF2", NULL },
		{ "qwen2.5", "qwen2.5-coder-0.5b-instruct/model.gguf", "", test_qwen },
	};
	struct buf path = BUF_INIT;
	struct tok *t;
	size_t i;

	for (i = 0; i < sizeof(models) / sizeof(*models); i++) {
		if (!model_path(&path, models[i].path)) {
			tap_skip(1, "the model is not in the cache");
			continue;
		}
		t = open_model(path.data);
		if (!ok(t != NULL, "%s opens", models[i].name))
			continue;
		test_golden(t, models[i].name);
		test_long(t, models[i].name);
		if (models[i].lost)
			test_round_trip(t, models[i].name, models[i].lost);
		if (models[i].more)
			models[i].more(t);
		tok_close(t);
	}
	buf_release(&path);
}

int main(int argc, char **argv)
{
	test_scanners(argc - 1, argv + 1);
	test_models();
	return tap_done();
}
