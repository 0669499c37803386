/*
 * WordPiece as Hugging Face's BertTokenizer runs it: clean, set ideographs
 * apart, decompose and drop accents, make small, cut at white space and
 * punctuation, then take the longest piece that fits, again and again; a word
 * that has no cut is [UNK] as a whole.  All of it happens in one pass, a word
 * at a time.  A word of more than max_chars is [UNK] and is not kept.
 */
#include "config.h"
#include "model/tok_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

#define WORD_CHARS 100		/* max_input_chars_per_word: the same in every BERT */
#define PREFIX "##"
#define PREFIX_LEN 2

/* Unicode */

/* Marks, punctuation and format characters that came after Unicode 8.0.  The
 * reference's tables are that old, so to it they are ordinary characters.
 * (Ranges may span others that are ordinary anyway.) */
static const struct { uint32_t first, last; } later[] = {
	{ 0x61D, 0x61D }, { 0x7FD, 0x7FD }, { 0x890, 0x8E2 }, { 0x9FD, 0x9FE },
	{ 0xA76, 0xA76 }, { 0xAFA, 0xAFF }, { 0xB55, 0xB55 }, { 0xC04, 0xC3C },
	{ 0xC77, 0xC77 }, { 0xC84, 0xC84 }, { 0xD00, 0xD00 }, { 0xD3B, 0xD3C },
	{ 0xD81, 0xD81 }, { 0xEBA, 0xEBA }, { 0xECE, 0xECE }, { 0x180F, 0x1886 },
	{ 0x1ABF, 0x1ACE }, { 0x1B7D, 0x1B7E }, { 0x1DF6, 0x1DFB }, { 0x2E43, 0x2E5D },
	{ 0xA82C, 0xA82C }, { 0xA8C5, 0xA8C5 }, { 0xA8FF, 0xA8FF }, { 0xA9BD, 0xA9BD },
	{ 0x10D24, 0x10F89 }, { 0x11070, 0x11074 }, { 0x110C2, 0x110CD },
	{ 0x111CF, 0x111CF }, { 0x1123E, 0x11241 }, { 0x1133B, 0x1133B },
	{ 0x11438, 0x1145E }, { 0x11660, 0x1166C }, { 0x116B9, 0x116B9 },
	{ 0x1182F, 0x11FFF }, { 0x12FF1, 0x13455 }, { 0x16E97, 0x16F4F },
	{ 0x16FE2, 0x16FE4 }, { 0x1CF00, 0x1CF46 }, { 0x1E000, 0x1E4EF },
	{ 0x1E944, 0x1E95F },
};

static bool is_later(uint32_t c)
{
	size_t lo = 0, hi = sizeof(later) / sizeof(*later), mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (c > later[mid].last)
			lo = mid + 1;
		else if (c < later[mid].first)
			hi = mid;
		else
			return true;
	}
	return false;
}

static bool is_removed(uint32_t c)
{
	if (c == '\t' || c == '\n' || c == '\r')
		return false;
	return c == 0xFFFD || (utf8_is_control(c) && utf8_is_assigned(c) && !is_later(c));
}

/* U+166D was punctuation then, U+1734 nonspacing, U+111C9 punctuation. */
static bool is_accent(uint32_t c)
{
	return c == 0x1734 || (utf8_is_nonspacing(c) && c != 0x111C9 && !is_later(c));
}

static bool is_punct(uint32_t c)
{
	if (c < 0x80)
		return c > ' ' && c < 0x7F && !utf8_is_letter(c) && !utf8_is_number(c);
	return c == 0x166D || c == 0x111C9 || (utf8_is_punct(c) && !is_later(c));
}

static bool is_ideograph(uint32_t c)
{
	return c >= 0x3400 && ((c >= 0x4E00 && c <= 0x9FFF) || c <= 0x4DBF ||
			       (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x2A6DF) ||
			       (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
			       (c >= 0x2F800 && c <= 0x2FA1F));
}

static uint32_t lower(uint32_t c)
{
	if (c == 0xA7CB)	/* two capitals of Unicode 16 whose small letters are old */
		return 0x264;
	return c == 0xA7DC ? 0x19B : utf8_lower(c);
}

/* Words */

struct word {
	struct tok_ids *out;
	const struct tok *t;
	size_t n;			/* characters; may exceed WORD_CHARS, then the rest is not kept */
	size_t sorted;			/* characters before this one keep their places */
	uint32_t c[WORD_CHARS];
	uint32_t start[WORD_CHARS], end[WORD_CHARS];	/* in the caller's text */
	uint8_t class[WORD_CHARS];	/* combining class */
	size_t last;			/* end of all that belongs to the word */
	/* The pieces' bytes, with room for a prefix before each: it overwrites
	 * what has been taken already. */
	char s[PREFIX_LEN + 4 * WORD_CHARS];
	uint16_t at[WORD_CHARS + 1];	/* where each character begins in s */
};

static int flush(struct word *w)
{
	const struct vocab *v = &w->t->v;
	size_t first = w->out->len, i, from, len;
	int32_t id;
	int rc;

	if (!w->n)
		return RAG_OK;
	if (w->n > w->t->max_chars)
		goto unknown;
	w->at[0] = PREFIX_LEN;
	for (i = 0; i < w->n; i++)
		w->at[i + 1] = (uint16_t)(w->at[i] + utf8_put(w->s + w->at[i], w->c[i]));
	for (from = 0; from < w->n; from = i) {
		size_t begin = w->at[from] - (from ? PREFIX_LEN : 0);

		if (from)
			memcpy(w->s + begin, PREFIX, PREFIX_LEN);
		id = -1;
		for (i = w->n; i > from; i--) {
			len = w->at[i] - begin;
			if (len > v->longest)
				continue;
			id = vocab_get(v, &v->words, w->s + begin, len);
			if (id >= 0)
				break;
		}
		if (id < 0)
			goto unknown;
		rc = tok_push(w->out, id, w->start[from], i == w->n ? w->last : w->end[i - 1]);
		if (rc)
			return rc;
	}
	w->n = w->sorted = 0;
	return RAG_OK;
unknown:
	w->out->len = first;
	w->n = w->sorted = 0;
	return tok_push(w->out, w->t->unk, w->start[0], w->last);
}

/* A character that the normaliser let through, in canonical order. */
static void add(struct word *w, uint32_t c, uint8_t class, size_t start, size_t end)
{
	size_t i = w->n++;

	w->last = end;
	if (i >= WORD_CHARS)
		return;
	w->start[i] = (uint32_t)start;
	w->end[i] = (uint32_t)end;
	for (; class && i > w->sorted && w->class[i - 1] > class; i--) {
		w->c[i] = w->c[i - 1];
		w->class[i] = w->class[i - 1];
	}
	w->c[i] = c;
	w->class[i] = class;
	if (!class)
		w->sorted = w->n;
}

/* Accents and controls are gone from the text, but belong to the span. */
static void drop(struct word *w, size_t end)
{
	if (!w->n)
		return;
	w->last = end;
	if (w->n <= WORD_CHARS)
		w->end[w->n - 1] = (uint32_t)end;
}

static int add_final(struct word *w, uint32_t c, uint8_t class, size_t start, size_t end)
{
	int rc;

	if (w->t->lower) {
		if (c == 0x130 && !w->t->strip) {	/* the one that becomes two */
			add(w, 'i', 0, start, end);
			c = 0x307;
		} else {
			c = lower(c);
		}
	}
	if (!is_punct(c)) {
		add(w, c, class, start, end);
		return RAG_OK;
	}
	rc = flush(w);
	if (rc)
		return rc;
	add(w, c, 0, start, end);
	return flush(w);
}

static int add_char(struct word *w, uint32_t c, size_t start, size_t end)
{
	uint32_t d[18];
	size_t n, i;
	unsigned class;
	int rc = RAG_OK;

	if (c < 0x80 || !w->t->strip)
		return add_final(w, c, 0, start, end);
	n = utf8_decompose(d, c);
	for (i = 0; !rc && i < n; i++) {
		class = utf8_combining(d[i]);
		if (!is_accent(d[i])) {
			rc = add_final(w, d[i], (uint8_t)class, start, end);
			continue;
		}
		drop(w, end);
		if (!class && w->n <= WORD_CHARS)
			w->sorted = w->n;
	}
	return rc;
}

static int encode(struct tok_ids *out, const struct tok *t, const char *text,
		  size_t from, size_t to, bool head)
{
	struct word w;
	size_t i, len;
	uint32_t c;
	int rc = RAG_OK;

	(void)head;
	w.out = out;
	w.t = t;
	w.n = w.sorted = w.last = 0;
	for (i = from; !rc && i < to; i += len) {
		c = utf8_next(text + i, to - i, &len);
		if (c == UTF8_BAD)
			c = 0xFFFD;
		if (t->clean && is_removed(c)) {
			drop(&w, i + len);
		} else if (utf8_is_space(c)) {
			rc = flush(&w);
		} else if (t->cjk && is_ideograph(c)) {
			rc = flush(&w);
			if (!rc)
				rc = add_char(&w, c, i, i + len);
			if (!rc)
				rc = flush(&w);
		} else {
			rc = add_char(&w, c, i, i + len);
		}
	}
	return rc ? rc : flush(&w);
}

static int piece(struct buf *out, const struct tok *t, int32_t id)
{
	size_t n;
	const char *s = vocab_piece(&t->v, id, &n);
	int rc;

	if (n > PREFIX_LEN && !memcmp(s, PREFIX, PREFIX_LEN))
		return buf_add(out, s + PREFIX_LEN, n - PREFIX_LEN);
	rc = buf_addc(out, ' ');
	return rc ? rc : buf_add(out, s, n);
}

static int32_t find(const struct tok *t, const char *s, size_t n)
{
	return vocab_get(&t->v, &t->v.words, s, n);
}

const struct tok_class tok_wordpiece = { encode, piece, find };

/* Opening */

/* Marks the special token called name; -1 where the vocabulary lacks it. */
static int32_t set_special(struct tok *t, const char *name, int kind)
{
	size_t n = strlen(name), i, len;
	const char *s;

	for (i = 0; i < t->v.n; i++) {
		s = vocab_piece(&t->v, (int32_t)i, &len);
		if (len == n && !memcmp(s, name, n)) {
			t->v.kind[i] = (uint8_t)kind;
			return (int32_t)i;
		}
	}
	return -1;
}

/* config: tokenizer_config.json, or NULL. */
static int finish(struct tok *t, const struct json *config, const char *path)
{
	static const char *const names[][2] = {
		{ "unk_token", "[UNK]" }, { "cls_token", "[CLS]" }, { "sep_token", "[SEP]" },
		{ "pad_token", "[PAD]" }, { "mask_token", "[MASK]" },
	};
	int32_t *ids[] = { &t->unk, &t->bos, &t->eos }, id;
	const struct json *named;
	const char *name;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		named = json_get(config, names[i][0]);
		if (json_is_obj(named))
			named = json_get(named, "content");
		name = json_str(named, names[i][1]);
		id = set_special(t, name, i ? PIECE_CONTROL : PIECE_UNKNOWN);
		if (i >= sizeof(ids) / sizeof(*ids))
			continue;
		if (id < 0)
			return err_set(RAG_EFORMAT, "'%s': no token '%s'", path, name);
		*ids[i] = id;
	}
	return tok_index(t, path);
}

static void set_defaults(struct tok *t)
{
	t->class = &tok_wordpiece;
	snprintf(t->name, sizeof(t->name), "wordpiece");
	t->add_bos = t->add_eos = true;
	t->lower = t->strip = t->clean = t->cjk = true;
	t->max_chars = WORD_CHARS;
}

/* A piece a line; its number is its id. */
static int read_lines(struct tok *t, const struct map *m, const char *path)
{
	const char *p = (const char *)m->data, *end = p + m->len, *line;
	size_t lines = 0, id = 0, n;
	struct vocab *v = &t->v;
	int rc;

	for (line = p; line < end && (line = memchr(line, '\n', (size_t)(end - line))); line++)
		lines++;
	lines += m->len && end[-1] != '\n';
	if (!lines || m->len >= UINT32_MAX)
		return err_set(RAG_EFORMAT, "'%s': %zu tokens in %zu bytes", path, lines, m->len);
	rc = vocab_new(v, lines, m->len);
	if (rc)
		return rc;
	for (; p < end; p = line + 1) {
		line = memchr(p, '\n', (size_t)(end - p));
		if (!line)
			line = end;
		for (n = (size_t)(line - p); n && memchr(" \t\r", p[n - 1], 3); n--)
			;
		memcpy(v->arena + v->off[id], p, n);
		v->kind[id] = PIECE_NORMAL;
		v->off[id + 1] = v->off[id] + (uint32_t)n;
		id++;
	}
	return RAG_OK;
}

static int open_vocab(struct tok *t, const struct map *m, const char *path,
		      const struct json *config)
{
	int rc = read_lines(t, m, path);

	if (rc)
		return rc;
	t->lower = json_bool(json_get(config, "do_lower_case"), true);
	t->strip = json_bool(json_get(config, "strip_accents"), t->lower);
	t->cjk = json_bool(json_get(config, "tokenize_chinese_chars"), true);
	return finish(t, config, path);
}

static int read_settings(struct tok *t, const struct json *root, const char *path)
{
	const struct json *model = json_get(root, "model"), *norm = json_get(root, "normalizer");
	const char *kind = json_str(json_get(model, "type"), "");
	const char *pre = json_str(json_get(json_get(root, "pre_tokenizer"), "type"), "");
	const char *normal = json_str(json_get(norm, "type"), "");
	int64_t max = json_int(json_get(model, "max_input_chars_per_word"), WORD_CHARS);

	if (strcmp(kind, "WordPiece"))
		return err_set(RAG_EUNSUP, "'%s': unknown tokenizer model '%s'", path, kind);
	if (strcmp(pre, "BertPreTokenizer") || strcmp(normal, "BertNormalizer"))
		return err_set(RAG_EUNSUP, "'%s': unknown pre-tokenizer '%s' or normalizer '%s'",
			       path, pre, normal);
	if (strcmp(json_str(json_get(model, "continuing_subword_prefix"), PREFIX), PREFIX))
		return err_set(RAG_EUNSUP, "'%s': words go on with another prefix than '%s'", path,
			       PREFIX);
	if (max < 1 || max > WORD_CHARS)
		return err_set(RAG_EUNSUP, "'%s': words of up to %lld characters", path,
			       (long long)max);
	t->max_chars = (size_t)max;
	t->lower = json_bool(json_get(norm, "lowercase"), true);
	t->strip = json_bool(json_get(norm, "strip_accents"), t->lower);
	t->cjk = json_bool(json_get(norm, "handle_chinese_chars"), true);
	t->clean = json_bool(json_get(norm, "clean_text"), true);
	return RAG_OK;
}

static int open_json(struct tok *t, const struct json *root, const char *path,
		     const struct json *config)
{
	const struct json *words = json_get(json_get(root, "model"), "vocab"), *value;
	struct { const char *s; size_t len; } *by_id = NULL;
	size_t n = json_is_obj(words) ? json_len(words) : 0, bytes = 0, i;
	struct vocab *v = &t->v;
	const char *key;
	void *it = NULL;
	int64_t id;
	int rc = read_settings(t, root, path);

	if (rc)
		return rc;
	by_id = mem_calloc(n, sizeof(*by_id));
	if (!by_id)
		return RAG_ENOMEM;
	while (n && json_next(words, &it, &key, &value)) {
		id = json_int(value, -1);
		if (id < 0 || (uint64_t)id >= n || by_id[id].s) {
			rc = err_set(RAG_EFORMAT, "'%s': token '%.40s' has id %lld of %zu, or "
				     "another has it", path, key, (long long)id, n);
			goto fail;
		}
		by_id[id].s = key;
		by_id[id].len = strlen(key);
		bytes += by_id[id].len;
	}
	if (!n || bytes >= UINT32_MAX) {
		rc = err_set(RAG_EFORMAT, "'%s': %zu tokens in %zu bytes", path, n, bytes);
		goto fail;
	}
	rc = vocab_new(v, n, bytes);
	for (i = 0; !rc && i < n; i++) {
		memcpy(v->arena + v->off[i], by_id[i].s, by_id[i].len);
		v->kind[i] = PIECE_NORMAL;
		v->off[i + 1] = v->off[i] + (uint32_t)by_id[i].len;
	}
	if (!rc)
		rc = finish(t, config, path);
fail:
	mem_free(by_id);
	return rc;
}

/* Parses a file; a missing one gives *out = NULL and RAG_ENOENT. */
static int parse_file(struct json **out, const char *path)
{
	struct map m = { NULL, 0 };
	int rc = map_open(&m, path);

	*out = NULL;
	if (!rc)
		rc = json_parse(out, (const char *)m.data, m.len, path);
	map_close(&m);
	return rc;
}

int tok_wordpiece_open(struct tok *t, const char *dir)
{
	struct buf path = BUF_INIT;
	struct json *config = NULL, *root = NULL;
	struct map m = { NULL, 0 };
	int rc;

	set_defaults(t);
	rc = buf_addf(&path, "%s/tokenizer_config.json", dir);
	if (rc)
		goto fail;
	rc = parse_file(&config, path.data);
	if (rc && rc != RAG_ENOENT)
		goto fail;
	buf_clear(&path);
	rc = buf_addf(&path, "%s/vocab.txt", dir);
	if (rc)
		goto fail;
	rc = map_open(&m, path.data);
	if (!rc) {
		rc = open_vocab(t, &m, path.data, config);
		goto fail;
	}
	if (rc != RAG_ENOENT)
		goto fail;
	buf_clear(&path);
	rc = buf_addf(&path, "%s/tokenizer.json", dir);
	if (rc)
		goto fail;
	rc = parse_file(&root, path.data);
	if (!rc)
		rc = open_json(t, root, path.data, config);
	else if (rc == RAG_ENOENT)
		rc = err_set(RAG_ENOENT, "'%s' has neither vocab.txt nor tokenizer.json", dir);
fail:
	map_close(&m);
	json_free(root);
	json_free(config);
	buf_release(&path);
	return rc;
}
