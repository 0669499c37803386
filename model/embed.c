#include "config.h"
#include "model/embed.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/kern.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/encoder.h"
#include "model/tok.h"

/* Tokens of a batch, but for a longer sequence: between two looks at the
 * progress callback.  In f32 a layer's weights are packed for many rows; in
 * int8 threads wait for each other at a batch's end, so it is longer. */
static const size_t batch_tokens[ENCODER_PRECISIONS] = { [ENCODER_F32] = 1536, [ENCODER_INT8] = 8192 };

/* Changes with the arithmetic of int8 vectors: those of other numbers are not to be compared. */
#define INT8_VERSION "int8 1"

enum pooling { POOL_MEAN, POOL_CLS };

struct embed {
	struct encoder *encoder;	/* owned, as all below */
	struct encoder_run *run;	/* NULL before the first text */
	const struct kern *kern;
	struct par *par;		/* borrowed */
	enum encoder_precision precision;
	struct tok *tok;
	char *name;
	char *prefix;			/* of a query; "" for most models */
	enum pooling pooling;
	size_t max_tokens;
	uint8_t fingerprint[ENCODER_PRECISIONS][HASH_LEN];

	struct tok_ids one;		/* the text in hand */
	int32_t *ids;			/* (room) of the batch, one text behind the other */
	size_t *offset;			/* (room + 1) a text has at least one token */
	size_t room, n;			/* n texts are in the batch */
};

/* A file that a model need not have: *out is NULL then. */
static int optional_json(struct json **out, const char *dir, const char *name)
{
	int rc = encoder_json(out, dir, name);

	if (rc != RAG_ENOENT)
		return rc;
	*out = NULL;
	err_clear();
	return RAG_OK;
}

/* sentence-transformers' list of what follows the transformer: pooling and
 * normalising is what we do, anything else would change the vectors. */
static int read_modules(const char *dir)
{
	static const char *const known[] = { "Transformer", "Pooling", "Normalize" };
	struct json *root = NULL;
	int rc = optional_json(&root, dir, "modules.json");

	for (size_t i = 0; !rc && i < json_len(root); i++) {
		const char *type = json_str(json_get(json_at(root, i), "type"), "?");
		const char *dot = strrchr(type, '.');
		bool found = false;

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			found = found || !strcmp(dot ? dot + 1 : type, known[k]);
		if (!found)
			rc = err_set(RAG_EUNSUP, "'%s/modules.json': module '%.64s'", dir, type);
	}
	json_free(root);
	return rc;
}

static int read_pooling(struct embed *e, const char *dir)
{
	struct json *root = NULL;
	int rc = optional_json(&root, dir, "1_Pooling/config.json");
	const struct json *value;
	const char *key;
	void *it = NULL;
	bool cls, mean;

	if (rc || !root)
		return rc;
	cls = json_bool(json_get(root, "pooling_mode_cls_token"), false);
	mean = json_bool(json_get(root, "pooling_mode_mean_tokens"), false);
	while (json_next(root, &it, &key, &value))
		if (!strncmp(key, "pooling_mode_", 13) && json_bool(value, false) &&
		    strcmp(key, "pooling_mode_cls_token") && strcmp(key, "pooling_mode_mean_tokens"))
			rc = err_set(RAG_EUNSUP, "'%s/1_Pooling/config.json': %.64s", dir, key);
	if (!rc && cls == mean)
		rc = err_set(RAG_EUNSUP, "'%s/1_Pooling/config.json': neither mean nor cls pooling alone",
			     dir);
	e->pooling = cls ? POOL_CLS : POOL_MEAN;
	json_free(root);
	return rc;
}

static int read_prefix(struct embed *e, const char *dir)
{
	struct json *root = NULL;
	int rc = optional_json(&root, dir, "config_sentence_transformers.json");
	const struct json *query = json_get(json_get(root, "prompts"), "query");

	if (!rc) {
		e->prefix = mem_strndup(json_str(query, ""), json_str_len(query));
		rc = e->prefix ? RAG_OK : RAG_ENOMEM;
	}
	json_free(root);
	return rc;
}

static int read_length(struct embed *e, const char *dir)
{
	struct json *root = NULL;
	size_t positions = encoder_shape(e->encoder)->positions;
	int rc = optional_json(&root, dir, "sentence_bert_config.json");
	int64_t max;

	if (rc)
		return rc;
	max = json_int(json_get(root, "max_seq_length"), (int64_t)positions);
	json_free(root);
	if (max < 3)	/* [CLS], a token, [SEP] */
		return err_set(RAG_EFORMAT, "'%s/sentence_bert_config.json': max_seq_length is below 3", dir);
	e->max_tokens = (uint64_t)max < positions ? (size_t)max : positions;
	return RAG_OK;
}

static int hash_file(struct hash_state *h, const char *dir, const char *name)
{
	struct buf path = BUF_INIT;
	struct map m = { NULL, 0 };
	int rc = buf_addf(&path, "%s/%s", dir, name);

	if (!rc)
		rc = map_open(&m, buf_str(&path));
	if (!rc) {
		hash_add(h, name, strlen(name) + 1);
		hash_add(h, m.data, m.len);
	}
	map_close(&m);
	buf_release(&path);
	return rc;
}

static int take_fingerprint(struct embed *e, const char *dir)
{
	static const char *const files[] = { "vocab.txt", "tokenizer.json", "tokenizer_config.json" };
	struct hash_state h, int8;
	unsigned char pooling = (unsigned char)e->pooling;

	hash_begin(&h);
	encoder_hash(&h, e->encoder);
	hash_add(&h, &pooling, 1);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int rc = hash_file(&h, dir, files[i]);

		if (rc && rc != RAG_ENOENT)
			return rc;
	}
	err_clear();
	int8 = h;
	hash_add(&int8, INT8_VERSION, sizeof(INT8_VERSION));
	hash_end(e->fingerprint[ENCODER_F32], &h);
	hash_end(e->fingerprint[ENCODER_INT8], &int8);
	return RAG_OK;
}

static char *last_part(const char *path)
{
	size_t end = strlen(path), begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/'; begin--)
		;
	return mem_strndup(path + begin, end - begin);
}

int embed_open(struct embed **out, const char *path, enum encoder_precision precision, struct par *par)
{
	struct embed *e = mem_calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return RAG_ENOMEM;
	e->kern = kern_get();
	e->par = par;
	e->precision = precision;
	if ((rc = encoder_open(&e->encoder, path)) ||
	    (rc = tok_open_dir(&e->tok, path)) ||
	    (rc = read_modules(path)) ||
	    (rc = read_pooling(e, path)) ||
	    (rc = read_prefix(e, path)) ||
	    (rc = read_length(e, path)))
		goto fail;
	if (tok_vocab(e->tok) > encoder_shape(e->encoder)->vocab) {
		rc = err_set(RAG_EFORMAT, "'%s': the tokenizer has %zu ids, the encoder %zu", path,
			     tok_vocab(e->tok), encoder_shape(e->encoder)->vocab);
		goto fail;
	}
	if ((rc = take_fingerprint(e, path)))
		goto fail;
	e->name = last_part(path);
	e->room = e->max_tokens;
	for (size_t i = 0; i < ENCODER_PRECISIONS; i++)
		e->room = e->room > batch_tokens[i] ? e->room : batch_tokens[i];
	e->ids = mem_calloc(e->room, sizeof(*e->ids));
	e->offset = mem_calloc(e->room + 1, sizeof(*e->offset));
	if (!e->name || !e->ids || !e->offset) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	*out = e;
	return RAG_OK;
fail:
	embed_close(e);
	return rc;
}

void embed_close(struct embed *e)
{
	if (!e)
		return;
	encoder_run_free(e->run);
	encoder_close(e->encoder);
	tok_close(e->tok);
	tok_ids_release(&e->one);
	mem_free(e->name);
	mem_free(e->prefix);
	mem_free(e->ids);
	mem_free(e->offset);
	mem_free(e);
}

size_t embed_dim(const struct embed *e)
{
	return encoder_shape(e->encoder)->hidden;
}

size_t embed_max_tokens(const struct embed *e)
{
	return e->max_tokens;
}

const struct tok *embed_tok(const struct embed *e)
{
	return e->tok;
}

const char *embed_name(const struct embed *e)
{
	return e->name;
}

const uint8_t *embed_fingerprint(const struct embed *e)
{
	return e->fingerprint[e->precision];
}

enum encoder_precision embed_precision(const struct embed *e)
{
	return e->precision;
}

bool embed_precision_of(enum encoder_precision *out, const struct embed *e,
			const uint8_t fingerprint[HASH_LEN])
{
	for (int i = 0; i < ENCODER_PRECISIONS; i++) {
		if (!memcmp(e->fingerprint[i], fingerprint, HASH_LEN)) {
			*out = (enum encoder_precision)i;
			return true;
		}
	}
	return false;
}

void embed_set_precision(struct embed *e, enum encoder_precision precision)
{
	if (e->precision == precision)
		return;
	encoder_run_free(e->run);
	e->run = NULL;
	e->precision = precision;
}

const char *embed_precision_name(enum encoder_precision precision)
{
	return precision == ENCODER_F32 ? "f32" : "int8";
}

int embed_precision_parse(enum encoder_precision *out, const char *name)
{
	*out = EMBED_PRECISION;
	for (int i = 0; name && i <= ENCODER_PRECISIONS; i++) {
		if (i == ENCODER_PRECISIONS)
			return err_set(RAG_EINVAL, "unknown precision '%.64s' (f32, int8)", name);
		*out = (enum encoder_precision)i;
		if (!strcmp(name, embed_precision_name(*out)))
			break;
	}
	return RAG_OK;
}

/* out: (dim) the unit vector of the n token vectors at x. */
static int pool(float *out, const struct embed *e, const float *x, size_t n)
{
	size_t dim = embed_dim(e);
	double square = 0;
	float scale;

	memcpy(out, x, dim * sizeof(*out));
	for (size_t t = 1; t < n && e->pooling == POOL_MEAN; t++)
		for (size_t i = 0; i < dim; i++)
			out[i] += x[t * dim + i];
	/* the mean's division by n cancels out */
	for (size_t i = 0; i < dim; i++)
		square += (double)out[i] * out[i];
	if (!isfinite(square) || square == 0)
		return err_set(RAG_EFORMAT, "'%s' gives a vector without direction: damaged weights",
			       e->name);
	scale = (float)(1 / sqrt(square));
	for (size_t i = 0; i < dim; i++)
		out[i] *= scale;
	return RAG_OK;
}

/* Runs what is in the batch, the first text being the call's text number first, and
 * empties it.  out: (e->n, dim). */
static int flush(float *out, struct embed *e, size_t first, const struct embed_sink *sink)
{
	const float *x;
	int rc = RAG_OK;

	if (!e->run)
		rc = encoder_run_new(&e->run, e->encoder, e->precision, e->kern, e->par);
	if (!rc)
		rc = encoder_eval(&x, e->run, e->ids, e->offset, e->n);
	for (size_t i = 0; i < e->n && !rc; i++) {
		size_t at = e->offset[i], n = e->offset[i + 1] - at;

		rc = pool(out + i * embed_dim(e), e, x + at * embed_dim(e), n);
		if (!rc && sink)
			rc = sink->take(sink->arg, first + i, e->ids + at, x + at * embed_dim(e), n);
	}
	e->n = 0;
	return rc;
}

/* Tokens of a text into e->one, with the special ones; *cut says whether any were left out. */
static int encode(struct embed *e, const char *prefix, const struct embed_text *t, bool *cut)
{
	struct buf joined = BUF_INIT;
	struct tok_ids *ids = &e->one;
	int rc = RAG_OK;

	ids->len = 0;
	if (*prefix) {
		rc = buf_adds(&joined, prefix);
		if (!rc)
			rc = buf_add(&joined, t->s, t->len);
		if (!rc)
			rc = tok_encode(ids, e->tok, joined.data, joined.len, TOK_ADD);
		buf_release(&joined);
	} else {
		rc = tok_encode(ids, e->tok, t->s, t->len, TOK_ADD);
	}
	if (rc)
		return rc;
	assert(ids->len >= 2);
	*cut = ids->len > e->max_tokens;
	if (*cut) {	/* the last one is [SEP]: it stays last */
		ids->id[e->max_tokens - 1] = ids->id[ids->len - 1];
		ids->len = e->max_tokens;
	}
	return RAG_OK;
}

int embed_texts_tokens(float *out, struct embed *e, const struct embed_text *texts, size_t n,
		       int truncate, size_t *truncated, const struct embed_sink *sink,
		       const struct progress *p)
{
	size_t done = 0, n_cut = 0, most = batch_tokens[e->precision];
	int rc = RAG_OK;

	e->n = 0;
	e->offset[0] = 0;
	for (size_t i = 0; i < n; i++) {
		bool cut;
		size_t tokens;

		rc = encode(e, "", &texts[i], &cut);
		if (rc)
			return rc;
		if (cut && !truncate)
			return err_set(RAG_ELIMIT, "text %zu is longer than the %zu tokens that '%s' takes",
				       i + 1, e->max_tokens, e->name);
		n_cut += cut;
		if (e->n && e->offset[e->n] + e->one.len > most) {
			rc = progress_tick(p, "embed", NULL, done, n);
			if (!rc)
				rc = flush(out + done * embed_dim(e), e, done, sink);
			if (rc)
				return rc;
			done = i;
		}
		tokens = e->offset[e->n];
		memcpy(e->ids + tokens, e->one.id, e->one.len * sizeof(*e->ids));
		e->offset[++e->n] = tokens + e->one.len;
	}
	rc = progress_tick(p, "embed", NULL, done, n);
	if (!rc && e->n)
		rc = flush(out + done * embed_dim(e), e, done, sink);
	if (rc)
		return rc;
	if (truncated)
		*truncated = n_cut;
	return progress_tick(p, "embed", NULL, n, n);
}

int embed_texts(float *out, struct embed *e, const struct embed_text *texts, size_t n,
		int truncate, size_t *truncated, const struct progress *p)
{
	return embed_texts_tokens(out, e, texts, n, truncate, truncated, NULL, p);
}

const char *embed_query_prefix(const struct embed *e)
{
	return e->prefix;
}

int embed_query_tokens(float *out, struct embed *e, const char *s, size_t n,
		       const struct embed_sink *sink)
{
	struct embed_text t = { s, n };
	bool cut;
	int rc = encode(e, e->prefix, &t, &cut);

	if (rc)
		return rc;
	memcpy(e->ids, e->one.id, e->one.len * sizeof(*e->ids));
	e->offset[0] = 0;
	e->offset[1] = e->one.len;
	e->n = 1;
	return flush(out, e, 0, sink);
}

int embed_query(float *out, struct embed *e, const char *s, size_t n)
{
	return embed_query_tokens(out, e, s, n, NULL);
}

/* ---- tokens that say something ----------------------------------------------- */

/* Lucene's English stop words. */
static const char *const stop_words[] = {
	"a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
	"not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this",
	"to", "was", "will", "with",
};

bool embed_keeps(const struct embed *e, int32_t id)
{
	struct buf b = BUF_INIT;
	bool word = false;
	const char *piece;

	if (tok_is_control(e->tok, id) || tok_piece(&b, e->tok, id, false))
		return false;
	piece = buf_str(&b);
	for (const char *p = piece; *p; p++)
		word = word || isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80;
	for (size_t i = 0; *piece == ' ' && i < sizeof(stop_words) / sizeof(stop_words[0]); i++)
		word = word && strcmp(piece + 1, stop_words[i]);
	buf_release(&b);
	return word;
}
