#include "config.h"
#include "src/eval/retrieval.h"

#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"
#include "model/embed.h"
#include "model/tok.h"
#include "src/eval/kept.h"

#define WINDOW 200	/* tokens of text in a window, for a sequence of 256 or more */
#define TITLE 40	/* tokens of title before it */
#define WINDOW_MIN 20	/* a last window shorter than this is dropped */
#define BATCH 32	/* texts between two ticks */
#define SLICE 64	/* documents of one piece of work */

struct text {
	char *s;		/* owned */
	size_t len;
};

struct run {
	struct judged *set;
	struct embed *e;
	struct kept *kept;	/* NULL: nothing is kept */
	struct par *par;
	const struct kern *kern;
	const struct progress *progress;
	size_t dim, window, title;

	struct text *texts;	/* (n_texts) windows in the order of their documents */
	size_t n_texts;
	size_t *first;		/* (n_docs + 1) each document's first window */
	float *vectors;		/* (n_texts, dim) */
	float *queries;		/* (n_queries, dim) */
	const float *query;	/* (dim) the one that is ranked */
	float *scores;		/* (n_docs) */
	size_t n_kept, n_done, n_total;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Takes over b's bytes. */
static int add_text(struct run *r, struct buf *b)
{
	size_t n = r->n_texts;

	if (!(n & (n - 1))) {
		struct text *more = mem_realloc(r->texts, n ? 2 * n : 1, sizeof(*more));

		if (!more)
			return RAG_ENOMEM;
		r->texts = more;
	}
	r->texts[n].len = b->len;
	r->texts[n].s = buf_detach(b);
	if (!r->texts[n].s)
		return RAG_ENOMEM;
	r->n_texts++;
	return RAG_OK;
}

/* "title text", or text alone. */
static int join(struct buf *out, const char *title, size_t title_len, const char *text,
		size_t text_len)
{
	int rc = buf_add(out, title, title_len);

	if (!rc && title_len && text_len)
		rc = buf_addc(out, ' ');
	return rc ? rc : buf_add(out, text, text_len);
}

static int add_windows(struct run *r, const struct judged_doc *d, const struct tok_ids *title,
		       const struct tok_ids *text)
{
	size_t n_title = title->len < r->title ? title->len : r->title;
	size_t title_len = n_title ? title->end[n_title - 1] : 0;
	struct buf b = BUF_INIT;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < text->len; i += r->window) {
		size_t n = text->len - i < r->window ? text->len - i : r->window;
		size_t start = text->start[i], end = text->end[i + n - 1];

		if (i && n < WINDOW_MIN)
			break;
		rc = join(&b, d->title, title_len, d->text + start, end - start);
		if (!rc)
			rc = add_text(r, &b);
	}
	buf_release(&b);
	return rc;
}

static int add_doc(struct run *r, size_t doc)
{
	struct judged_doc d = judged_doc_at(r->set, doc);
	const struct tok *tok = embed_tok(r->e);
	struct tok_ids whole = { 0 }, title = { 0 }, text = { 0 };
	struct buf b = BUF_INIT;
	int rc;

	r->first[doc] = r->n_texts;
	if ((rc = join(&b, d.title, d.title_len, d.text, d.text_len)) ||
	    (rc = tok_encode(&whole, tok, buf_str(&b), b.len, TOK_ADD)))
		goto fail;
	if (whole.len <= embed_max_tokens(r->e)) {
		rc = add_text(r, &b);
		goto fail;
	}
	if (!(rc = tok_encode(&title, tok, d.title, d.title_len, 0)) &&
	    !(rc = tok_encode(&text, tok, d.text, d.text_len, 0)))
		rc = add_windows(r, &d, &title, &text);
	if (!rc && r->first[doc] == r->n_texts)		/* a long title, no text */
		rc = add_text(r, &b);
fail:
	tok_ids_release(&whole);
	tok_ids_release(&title);
	tok_ids_release(&text);
	buf_release(&b);
	return rc;
}

static int split(struct run *r)
{
	size_t n = judged_n_docs(r->set), max = embed_max_tokens(r->e);
	int rc;

	r->window = max < WINDOW + TITLE + 2 ? max * 3 / 4 : WINDOW;
	r->title = max < WINDOW + TITLE + 2 ? max / 8 : TITLE;
	r->first = mem_calloc(n + 1, sizeof(*r->first));
	if (!r->first)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (i % BATCH == 0 && (rc = progress_tick(r->progress, "split", NULL, i, n)))
			return rc;
		if ((rc = add_doc(r, i)))
			return rc;
	}
	r->first[n] = r->n_texts;
	return RAG_OK;
}

static void text_hash(uint8_t out[HASH_LEN], char kind, const char *s, size_t n)
{
	struct hash_state h;

	hash_begin(&h);
	hash_add(&h, &kind, 1);		/* a query may have a prefix: other vector, same text */
	hash_add(&h, s, n);
	hash_end(out, &h);
}

/* Embeds texts whose numbers are in which[0 .. n). */
static int embed_batch(struct run *r, const size_t *which, uint8_t (*hashes)[HASH_LEN], size_t n,
		       float *scratch)
{
	struct embed_text batch[BATCH] = { { NULL, 0 } };
	int rc;

	for (size_t i = 0; i < n; i++)
		batch[i] = (struct embed_text){ r->texts[which[i]].s, r->texts[which[i]].len };
	if ((rc = embed_texts(scratch, r->e, batch, n, 1, NULL, NULL)))
		return rc;
	for (size_t i = 0; i < n; i++) {
		const float *v = scratch + i * r->dim;

		memcpy(r->vectors + which[i] * r->dim, v, r->dim * sizeof(*v));
		if (r->kept && (rc = kept_put(r->kept, hashes[i], v)))
			return rc;
	}
	r->n_done += n;
	return progress_tick(r->progress, "embed", NULL, r->n_done, r->n_total);
}

static int embed_windows(struct run *r)
{
	float *scratch = mem_calloc(BATCH * r->dim, sizeof(*scratch));
	uint8_t hashes[BATCH][HASH_LEN];
	size_t which[BATCH], n = 0;
	int rc = RAG_OK;

	r->vectors = mem_calloc(r->n_texts, r->dim * sizeof(*r->vectors));
	if (!scratch || !r->vectors) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	for (size_t i = 0; !rc && i < r->n_texts; i++) {
		if (r->kept) {
			text_hash(hashes[n], 'd', r->texts[i].s, r->texts[i].len);
			if (kept_get(r->vectors + i * r->dim, r->kept, hashes[n])) {
				r->n_kept++;
				r->n_done++;
				continue;
			}
		}
		which[n++] = i;
		if (n == BATCH) {
			rc = embed_batch(r, which, hashes, n, scratch);
			n = 0;
		}
	}
	if (!rc && n)
		rc = embed_batch(r, which, hashes, n, scratch);
fail:
	mem_free(scratch);
	return rc;
}

static int embed_queries(struct run *r)
{
	size_t n = judged_n_queries(r->set);
	uint8_t hash[HASH_LEN];
	int rc;

	r->queries = mem_calloc(n, r->dim * sizeof(*r->queries));
	if (!r->queries)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct judged_query q = judged_query_at(r->set, i);
		float *v = r->queries + i * r->dim;

		if (!q.n_relevant)
			continue;
		r->n_done++;
		if (r->kept) {
			text_hash(hash, 'q', q.text, q.text_len);
			if (kept_get(v, r->kept, hash)) {
				r->n_kept++;
				continue;
			}
		}
		if ((rc = embed_query(v, r->e, q.text, q.text_len)) ||
		    (r->kept && (rc = kept_put(r->kept, hash, v))) ||
		    (rc = progress_tick(r->progress, "embed", NULL, r->n_done, r->n_total)))
			return rc;
	}
	return RAG_OK;
}

static void score_slice(void *arg, size_t piece, int thread)
{
	struct run *r = arg;
	size_t n = judged_n_docs(r->set), end = (piece + 1) * SLICE < n ? (piece + 1) * SLICE : n;

	(void)thread;
	for (size_t doc = piece * SLICE; doc < end; doc++) {
		float best = -2;	/* below any product of unit vectors */

		for (size_t i = r->first[doc]; i < r->first[doc + 1]; i++) {
			float s = r->kern->dot(r->query, r->vectors + i * r->dim, r->dim);

			if (s > best)
				best = s;
		}
		r->scores[doc] = best;
	}
}

static bool better(const struct run *r, size_t a, size_t b)
{
	uint64_t x, y;

	if (r->scores[a] != r->scores[b])
		return r->scores[a] > r->scores[b];
	x = judged_tie(r->set, a);
	y = judged_tie(r->set, b);
	return x != y ? x < y : a < b;
}

static int rank(void *arg, size_t query, struct judged_hit *hits, size_t *n, size_t max)
{
	struct run *r = arg;
	size_t n_docs = judged_n_docs(r->set), found = 0;

	r->query = r->queries + query * r->dim;
	par_for(r->par, (n_docs + SLICE - 1) / SLICE, score_slice, r);
	for (size_t doc = 0; doc < n_docs; doc++) {
		size_t at = found;

		if (found == max && !better(r, doc, hits[max - 1].doc))
			continue;
		if (found < max)
			found++;
		else
			at = max - 1;
		for (; at > 0 && better(r, doc, hits[at - 1].doc); at--)
			hits[at] = hits[at - 1];
		hits[at] = (struct judged_hit){ doc, r->scores[doc] };
	}
	*n = found;
	return RAG_OK;
}

static void release(struct run *r)
{
	for (size_t i = 0; i < r->n_texts; i++)
		mem_free(r->texts[i].s);
	mem_free(r->texts);
	mem_free(r->first);
	mem_free(r->vectors);
	mem_free(r->queries);
	mem_free(r->scores);
	kept_close(r->kept);
	judged_close(r->set);
}

int retrieval_eval(struct retrieval_result *out, const char *dir, struct embed *e,
		   const struct retrieval_opts *opts)
{
	struct run r = {
		.e = e, .dim = embed_dim(e), .par = opts->par, .kern = kern_get(),
		.progress = opts->progress,
	};
	struct retrieval_result result = { .n_texts = 0 };
	double start = now();
	int rc;

	if ((rc = judged_open(&r.set, dir)))
		return rc;
	if (opts->keep && (rc = kept_open(&r.kept, opts->keep, embed_fingerprint(e), r.dim)))
		goto fail;
	r.scores = mem_calloc(judged_n_docs(r.set), sizeof(*r.scores));
	if (!r.scores) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	if ((rc = split(&r)))
		goto fail;
	r.n_total = r.n_texts;
	for (size_t i = 0; i < judged_n_queries(r.set); i++)
		r.n_total += judged_query_at(r.set, i).n_relevant > 0;
	if ((rc = embed_windows(&r)) || (rc = embed_queries(&r)) ||
	    (r.kept && (rc = kept_save(r.kept))))
		goto fail;
	result.embed_s = now() - start;
	start = now();
	if ((rc = judged_run(&result.scores, r.set, rank, &r, r.progress)))
		goto fail;
	result.search_s = now() - start;
	result.n_texts = r.n_total;
	result.n_kept = r.n_kept;
	*out = result;
fail:
	release(&r);
	return rc;
}
