#include "config.h"
#include "model/cross.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/kern.h"
#include "base/mem.h"
#include "model/encoder_impl.h"
#include "model/safetensors.h"
#include "model/tok.h"

#define BATCH_TOKENS 4096u	/* between two looks at the progress callback */
#define SPECIAL 3u		/* [CLS], [SEP], [SEP] */

struct cross {
	struct encoder *encoder;	/* owned, as all below */
	struct encoder_run *run;
	const struct kern *kern;
	struct tok *tok;
	size_t max_tokens;
	const float *pooler, *pooler_bias;	/* (hidden, hidden), (hidden): the encoder's */
	const float *label, *label_bias;	/* (1, hidden), (1): ditto */
	float *pooled;			/* (hidden) */
	struct tok_ids query, passage;
	int32_t *ids;			/* (room) the batch, one pair behind the other */
	size_t *offset, *second;	/* (room + 1), (room) */
	size_t room, n;
};

static int take_head(struct cross *c, const char *dir)
{
	size_t hidden = encoder_shape(c->encoder)->hidden;
	const struct tensor *label = safetensors_tensor(c->encoder->file, "classifier.weight");
	int rc;

	if (!label)
		return err_set(RAG_EUNSUP, "'%s': not a reranker: it has no classifier", dir);
	if (label->n_dims == 2 && label->ne[1] != 1)
		return err_set(RAG_EUNSUP, "'%s': not a reranker: its classifier has %llu labels, not one", dir,
			       (unsigned long long)label->ne[1]);
	if (encoder_shape(c->encoder)->types < 2)
		return err_set(RAG_EUNSUP, "'%s': not a reranker: one type of text", dir);
	if ((rc = encoder_tensor(&c->pooler, c->encoder, dir, "bert.pooler.dense.weight", hidden, hidden)) ||
	    (rc = encoder_tensor(&c->pooler_bias, c->encoder, dir, "bert.pooler.dense.bias", 1, hidden)) ||
	    (rc = encoder_tensor(&c->label, c->encoder, dir, "classifier.weight", 1, hidden)))
		return rc;
	return encoder_tensor(&c->label_bias, c->encoder, dir, "classifier.bias", 1, 1);
}

/* The tokenizer's limit where it has one, else as many as there are positions. */
static int take_length(struct cross *c, const char *dir)
{
	size_t positions = encoder_shape(c->encoder)->positions;
	struct json *root = NULL;
	int64_t max;
	int rc = encoder_json(&root, dir, "tokenizer_config.json");

	if (rc && rc != RAG_ENOENT)
		return rc;
	if (rc)
		err_clear();
	max = json_int(json_get(root, "model_max_length"), (int64_t)positions);
	json_free(root);
	c->max_tokens = max > 0 && (uint64_t)max < positions ? (size_t)max : positions;
	if (c->max_tokens < SPECIAL + 2)
		return err_set(RAG_EFORMAT, "'%s': no room for a pair in %zu tokens", dir, c->max_tokens);
	return RAG_OK;
}

int cross_open(struct cross **out, const char *dir, enum encoder_precision precision, struct par *par)
{
	struct cross *c = mem_calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return RAG_ENOMEM;
	c->kern = kern_get();
	if ((rc = encoder_open(&c->encoder, dir)) ||
	    (rc = take_head(c, dir)) ||
	    (rc = tok_open_dir(&c->tok, dir)) ||
	    (rc = take_length(c, dir)))
		goto fail;
	if (tok_vocab(c->tok) > encoder_shape(c->encoder)->vocab) {
		rc = err_set(RAG_EFORMAT, "'%s': the tokenizer has %zu ids, the encoder %zu", dir,
			     tok_vocab(c->tok), encoder_shape(c->encoder)->vocab);
		goto fail;
	}
	c->room = c->max_tokens > BATCH_TOKENS ? c->max_tokens : BATCH_TOKENS;
	c->pooled = mem_calloc(encoder_shape(c->encoder)->hidden, sizeof(*c->pooled));
	c->ids = mem_calloc(c->room, sizeof(*c->ids));
	c->offset = mem_calloc(c->room + 1, sizeof(*c->offset));
	c->second = mem_calloc(c->room, sizeof(*c->second));
	rc = c->pooled && c->ids && c->offset && c->second ? RAG_OK : RAG_ENOMEM;
	if (!rc)
		rc = encoder_run_new(&c->run, c->encoder, precision, c->kern, par);
	if (rc)
		goto fail;
	*out = c;
	return RAG_OK;
fail:
	cross_close(c);
	return rc;
}

void cross_close(struct cross *c)
{
	if (!c)
		return;
	encoder_run_free(c->run);
	encoder_close(c->encoder);
	tok_close(c->tok);
	tok_ids_release(&c->query);
	tok_ids_release(&c->passage);
	mem_free(c->pooled);
	mem_free(c->ids);
	mem_free(c->offset);
	mem_free(c->second);
	mem_free(c);
}

size_t cross_max_tokens(const struct cross *c)
{
	return c->max_tokens;
}

static float head(const struct cross *c, const float *first)
{
	size_t hidden = encoder_shape(c->encoder)->hidden;

	for (size_t i = 0; i < hidden; i++)
		c->pooled[i] = tanhf(c->kern->dot(c->pooler + i * hidden, first, hidden) + c->pooler_bias[i]);
	return c->kern->dot(c->label, c->pooled, hidden) + c->label_bias[0];
}

/* Runs the batch and empties it.  out: (c->n). */
static int flush(float *out, struct cross *c)
{
	size_t hidden = encoder_shape(c->encoder)->hidden;
	const float *x;
	int rc = encoder_eval_pairs(&x, c->run, c->ids, c->offset, c->second, c->n);

	for (size_t i = 0; !rc && i < c->n; i++) {
		out[i] = head(c, x + c->offset[i] * hidden);
		if (!isfinite(out[i]))
			rc = err_set(RAG_EFORMAT, "the reranker gives a score that is no number: damaged weights");
	}
	c->n = 0;
	return rc;
}

/* How many tokens of each text there is room for: tokenizers' "longest first". */
static void share(size_t *query, size_t *passage, size_t room)
{
	size_t *less = *query > *passage ? passage : query, *more = less == query ? passage : query;

	if (*query + *passage <= room)
		return;
	if (*less > room / 2)
		*less = room / 2;
	*more = room - *less;
}

/* c->query and c->passage behind what the batch has. */
static void append(struct cross *c, size_t query, size_t passage)
{
	size_t at = c->offset[c->n], cls = at;
	int32_t sep = c->query.id[c->query.len - 1];

	c->ids[at++] = c->query.id[0];
	memcpy(c->ids + at, c->query.id + 1, query * sizeof(*c->ids));
	at += query;
	c->ids[at++] = sep;
	c->second[c->n] = at - cls;
	memcpy(c->ids + at, c->passage.id, passage * sizeof(*c->ids));
	at += passage;
	c->ids[at++] = sep;
	c->offset[++c->n] = at;
}

int cross_scores(float *out, struct cross *c, const struct cross_text *query,
		 const struct cross_text *passages, size_t n, const struct progress *p)
{
	size_t done = 0;
	int rc;

	c->n = 0;
	c->query.len = 0;
	rc = tok_encode(&c->query, c->tok, query->s, query->len, TOK_ADD);
	for (size_t i = 0; !rc && i < n; i++) {
		size_t q = c->query.len - 2, t;

		c->passage.len = 0;
		rc = tok_encode(&c->passage, c->tok, passages[i].s, passages[i].len, 0);
		if (rc)
			break;
		t = c->passage.len;
		share(&q, &t, c->max_tokens - SPECIAL);
		if (c->n && c->offset[c->n] + q + t + SPECIAL > c->room) {
			rc = progress_tick(p, "rerank", NULL, done, n);
			if (!rc)
				rc = flush(out + done, c);
			done = i;
		}
		append(c, q, t);
	}
	if (!rc)
		rc = progress_tick(p, "rerank", NULL, done, n);
	return rc || !c->n ? rc : flush(out + done, c);
}
