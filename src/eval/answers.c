#include "config.h"
#include "src/eval/answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

const char *const figure_names[N_FIGURES] = { "exact_match", "f1", "contains", "supported", "found",
					      "abstention_precision", "abstention_recall" };
const char *const figure_titles[N_FIGURES] = { "exact match", "F1", "contains the answer", "supported",
					       "passage found", "abstention precision", "abstention recall" };

struct asking {
	struct answers *a;
	const struct judged *j;
	struct collection *c;
	const struct answers_opts *o;
	FILE *log;		/* NULL: none */
	size_t done;		/* questions */
	bool stopped;		/* by the progress function */
};

/* ---- the questions --------------------------------------------------------------- */

static bool is_gold(const struct judged *j, size_t query, size_t doc)
{
	return judged_grade_of(j, query, doc) > 0 ||
	       judged_query_at(j, query).written_for == (long)doc;
}

/* "uri in [...]" of the documents that a question was written for; empty: none is known. */
static int gold_filter(struct buf *out, const struct asking *k, size_t query)
{
	const struct judged_grade *g;
	size_t n = judged_grades(&g, k->j, query);
	long written_for = judged_query_at(k->j, query).written_for;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i <= n; i++) {
		long doc = i < n ? (g[i].grade > 0 ? (long)g[i].doc : -1)
				 : judged_grade_of(k->j, query, (size_t)written_for) > 0 ? -1 : written_for;
		const char *uri = doc < 0 ? NULL : collection_uri(k->c, (size_t)doc);

		if (uri)
			rc = buf_adds(out, out->len ? ", \"" : "uri in [\"");
		for (; !rc && uri && *uri; uri++) {
			if (*uri == '"' || *uri == '\\')
				rc = buf_addc(out, '\\');
			if (!rc)
				rc = buf_addc(out, *uri);
		}
		if (!rc && uri)
			rc = buf_addc(out, '"');
	}
	return !rc && out->len ? buf_addc(out, ']') : rc;
}

static bool usable(const struct asking *k, size_t query)
{
	struct judged_query q = judged_query_at(k->j, query);
	struct buf gold = BUF_INIT;
	bool good = q.n_answers || !q.answerable;

	if (good && k->o->gold)
		good = !gold_filter(&gold, k, query) && gold.len;
	buf_release(&gold);
	return good;
}

static int tie_cmp(const void *x, const void *y, void *arg)
{
	const struct judged *j = arg;
	const struct answered *a = x, *b = y;
	uint64_t s = judged_tie(judged_query_at(j, a->query).id), t = judged_tie(judged_query_at(j, b->query).id);

	if (s != t)
		return s < t ? -1 : 1;
	return (a->query > b->query) - (a->query < b->query);
}

/* By the hash of their ids: the first hundred are a fair sample, and part of the first two. */
static int choose(struct asking *k)
{
	struct answers *a = k->a;
	size_t n = judged_n_queries(k->j);

	a->v = mem_calloc(n, sizeof(*a->v));
	if (!a->v)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (usable(k, i)) {
			a->v[a->n].answerable = judged_query_at(k->j, i).answerable;
			a->v[a->n++].query = i;
		}
	}
	a->n_unknown = n - a->n;
	if (!a->n)
		return err_set(RAG_EINVAL, "no question of '%s' has \"answers\"%s", k->o->set,
			       k->o->gold ? " and a passage" : "");
	qsort_r(a->v, a->n, sizeof(*a->v), tie_cmp, (void *)k->j);
	if (k->o->most && k->o->most < a->n)
		a->n = k->o->most;
	return RAG_OK;
}

/* ---- one answer --------------------------------------------------------------------- */

static int judge_evidence(struct answered *v, const struct judged_query *q, const char *evidence)
{
	struct squad s;
	int rc = squad_score(&s, evidence, q->answers, q->n_answers);

	v->supported |= !rc && s.contains;
	return rc;
}

static int judge_answer(struct answered *v, const struct judged_query *q)
{
	return v->abstained ? RAG_OK : squad_score(&v->score, v->answer, q->answers, q->n_answers);
}

static void judge_document(struct answered *v, const struct asking *k, const char *uri)
{
	long doc = collection_judged(k->c, uri);

	v->found |= doc >= 0 && is_gold(k->j, v->query, (size_t)doc);
}

static void add_key(struct buf *b, const char *key, const char *value)
{
	json_add_key(b, key);
	json_add_str(b, value, strlen(value));
}

static int write_line(struct asking *k, struct buf *b)
{
	int rc = buf_adds(b, "}\n");

	if (!rc && k->log &&
	    (fwrite(b->data, 1, b->len, k->log) != b->len || fflush(k->log) || fdatasync(fileno(k->log))))
		rc = err_set(RAG_EIO, "cannot write '%s': %s", k->o->log, strerror(errno));
	buf_release(b);
	return rc;
}

static int begin_line(struct buf *b, const struct judged_query *q)
{
	buf_addc(b, '{');
	add_key(b, "id", q->id);
	add_key(b, "question", q->text);
	return RAG_OK;
}

static int log_failure(struct asking *k, const struct answered *v, const struct judged_query *q)
{
	struct buf b = BUF_INIT;

	begin_line(&b, q);
	add_key(&b, "error", v->error);
	return write_line(k, &b);
}

static int log_answer(struct asking *k, const struct answered *v, const struct judged_query *q,
		      const struct rag_answer *r)
{
	struct buf b = BUF_INIT;

	begin_line(&b, q);
	add_key(&b, "answer", v->answer);
	json_add_key(&b, "abstained");
	buf_adds(&b, v->abstained ? "true" : "false");
	json_add_key(&b, "evidence");
	buf_addc(&b, '[');
	for (size_t i = 0; i < r->n_citations; i++) {
		if (i)
			buf_adds(&b, ", ");
		json_add_str(&b, r->citation[i]->text, strlen(r->citation[i]->text));
	}
	buf_addc(&b, ']');
	json_add_key(&b, "documents");
	buf_addc(&b, '[');
	for (size_t i = 0; i < r->n_passages; i++) {
		if (i)
			buf_adds(&b, ", ");
		json_add_str(&b, r->passage[i]->uri, strlen(r->passage[i]->uri));
	}
	buf_addc(&b, ']');
	json_add_key(&b, "seconds");
	buf_addf(&b, "%.3f", v->seconds);
	return write_line(k, &b);
}

static int tell(void *arg, const struct rag_progress *p)
{
	struct asking *k = arg;
	struct rag_progress mine = { "answer", k->o->set, k->done, k->a->n };

	(void)p;
	if (k->o->progress && k->o->progress(k->o->progress_arg, &mine))
		k->stopped = true;
	return k->stopped;
}

static int take_answer(struct asking *k, struct answered *v, const struct judged_query *q,
		       const struct rag_answer *r)
{
	int rc;

	v->answer = mem_strdup(r->text);
	if (!v->answer)
		return RAG_ENOMEM;
	v->abstained = r->abstained;
	rc = judge_answer(v, q);
	for (size_t i = 0; !rc && i < r->n_citations; i++)
		rc = judge_evidence(v, q, r->citation[i]->text);
	for (size_t i = 0; i < r->n_passages; i++)
		judge_document(v, k, r->passage[i]->uri);
	return rc ? rc : log_answer(k, v, q, r);
}

/* What fails is that question's alone, but for what would fail the next one too. */
static int take_failure(struct asking *k, struct answered *v, const struct judged_query *q, int rc)
{
	if (rc != RAG_ELIMIT && rc != RAG_EINVAL)
		return rc == RAG_ECANCEL ? rc : err_within(rc, "'%s', query '%.100s'", k->o->set, q->id);
	v->error = mem_strdup(rag_error());
	return v->error ? log_failure(k, v, q) : RAG_ENOMEM;
}

static int ask_one(struct asking *k, struct answered *v)
{
	struct judged_query q = judged_query_at(k->j, v->query);
	struct rag_ask_opts ao = k->o->ask;
	struct rag_search_opts so = RAG_SEARCH_OPTS_INIT;
	struct rag_answer *r = NULL;
	struct buf gold = BUF_INIT;
	double t = clock_now();
	int rc;

	if (ao.search)
		so = *ao.search;
	rc = k->o->gold ? gold_filter(&gold, k, v->query) : RAG_OK;
	if (k->o->gold)
		so.filter = buf_str(&gold);
	ao.search = &so;
	if (!rc)
		rc = rag_ask(&r, collection_rag(k->c), NULL, q.text, &ao);
	v->seconds = clock_now() - t;
	if (!rc && k->stopped)	/* it may be half an answer */
		rc = err_set(RAG_ECANCEL, "cancelled");
	rc = rc ? take_failure(k, v, &q, rc) : take_answer(k, v, &q, r);
	rag_answer_free(r);
	buf_release(&gold);
	return rc;
}

/* ---- the log ---------------------------------------------------------------------------- */

/* The question that a line of the log is about, if it is one of ours. */
static struct answered *of_line(struct asking *k, const struct json *line)
{
	const char *id = json_str(json_get(line, "id"), ""), *text = json_str(json_get(line, "question"), "");

	for (size_t i = 0; i < k->a->n; i++) {
		struct judged_query q = judged_query_at(k->j, k->a->v[i].query);

		if (!strcmp(q.id, id))
			return strcmp(q.text, text) ? NULL : &k->a->v[i];
	}
	return NULL;
}

static void forget(struct answered *v)
{
	struct answered blank = { .query = v->query, .answerable = v->answerable };

	mem_free(v->answer);
	mem_free(v->error);
	*v = blank;
}

static int take_line(struct asking *k, const struct json *line)
{
	const struct json *evidence = json_get(line, "evidence"), *docs = json_get(line, "documents");
	struct answered *v = of_line(k, line);
	struct judged_query q;
	int rc;

	if (!v)
		return RAG_OK;
	forget(v);		/* a later line counts */
	if (json_is_str(json_get(line, "error"))) {
		v->error = mem_strdup(json_str(json_get(line, "error"), ""));
		return v->error ? RAG_OK : RAG_ENOMEM;
	}
	q = judged_query_at(k->j, v->query);
	v->answer = mem_strdup(json_str(json_get(line, "answer"), ""));
	if (!v->answer)
		return RAG_ENOMEM;
	v->abstained = json_bool(json_get(line, "abstained"), false);
	v->seconds = json_num(json_get(line, "seconds"), 0);
	rc = judge_answer(v, &q);
	for (size_t i = 0; !rc && i < json_len(evidence); i++)
		rc = judge_evidence(v, &q, json_str(json_at(evidence, i), ""));
	for (size_t i = 0; i < json_len(docs); i++)
		judge_document(v, k, json_str(json_at(docs, i), ""));
	return rc;
}

/* Takes what is there; *whole: bytes of it that are whole lines. */
static int read_log(struct asking *k, size_t *whole)
{
	const char *p, *end, *nl;
	struct json *line = NULL;
	struct map m;
	size_t number = 1;
	int rc = map_open(&m, k->o->log);

	*whole = 0;
	if (rc == RAG_ENOENT)
		return RAG_OK;
	if (rc)
		return rc;
	p = (const char *)m.data;
	end = p + m.len;
	for (; !rc && p < end && (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1, number++) {
		rc = json_parse_line(&line, p, (size_t)(nl - p), k->o->log, number);
		if (!rc && number == 1 && strcmp(json_str(json_get(line, "asked"), ""), k->o->asked))
			rc = err_set(RAG_EFORMAT, "'%s' holds answers to other questions", k->o->log);
		if (!rc && number > 1)
			rc = take_line(k, line);
		json_free(line);
		line = NULL;
		*whole = (size_t)(nl + 1 - (const char *)m.data);
	}
	map_close(&m);
	return rc;
}

static int open_log(struct asking *k)
{
	struct buf b = BUF_INIT;
	size_t whole;
	int rc;

	if (!k->o->log)
		return RAG_OK;
	rc = read_log(k, &whole);
	if (rc)
		return rc;
	k->log = fopen(k->o->log, "ae");
	if (!k->log || ftruncate(fileno(k->log), (off_t)whole))
		return err_set(RAG_EIO, "cannot write '%s': %s", k->o->log, strerror(errno));
	if (whole)
		return RAG_OK;
	buf_addc(&b, '{');
	add_key(&b, "ragstone", rag_version());
	add_key(&b, "asked", k->o->asked);
	return write_line(k, &b);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static bool is_done(const struct answered *v)
{
	return v->answer || v->error;
}

/* What one question counts in a figure; false: nothing. */
static bool counts_in(double *out, const struct answered *v, enum answers_figure f)
{
	switch (f) {
	case EXACT:
		*out = v->score.exact;
		return v->answerable;
	case F1:
		*out = v->score.f1;
		return v->answerable;
	case CONTAINS:
		*out = v->score.contains;
		return v->answerable;
	case SUPPORTED:
		*out = v->supported;
		return v->answerable;
	case FOUND:
		*out = v->found;
		return v->answerable;
	case ABSTENTION_PRECISION:
		*out = !v->answerable;
		return v->abstained;
	case ABSTENTION_RECALL:
		*out = v->abstained;
		return !v->answerable;
	case N_FIGURES:
		break;
	}
	return false;
}

static int summarise(struct answers *a)
{
	double *values = mem_calloc(a->n, sizeof(*values)), one = 0;
	size_t n;
	int rc = values ? RAG_OK : RAG_ENOMEM;

	for (size_t i = 0; !rc && i < a->n; i++) {
		a->n_answerable += a->v[i].answerable;
		a->n_abstained += a->v[i].abstained;
		a->n_failed += a->v[i].error != NULL;
	}
	for (int f = 0; !rc && f < N_FIGURES; f++) {
		n = 0;
		for (size_t i = 0; i < a->n; i++)
			if (counts_in(&one, &a->v[i], (enum answers_figure)f))
				values[n++] = one;
		a->counts[f] = n;
		rc = stats_bootstrap(&a->stats[f], values, &n, 1);
	}
	for (size_t i = n = 0; !rc && i < a->n; i++)
		if (a->v[i].answer)
			values[n++] = a->v[i].seconds;
	if (!rc)
		a->seconds_p50 = stats_median(values, n);
	mem_free(values);
	return rc;
}

int answers_run(struct answers *out, const struct judged *j, struct collection *c,
		const struct answers_opts *o)
{
	struct asking k = { .a = out, .j = j, .c = c, .o = o };
	int rc;

	memset(out, 0, sizeof(*out));
	rag_set_progress(collection_rag(c), tell, &k);
	rc = choose(&k);
	if (!rc)
		rc = open_log(&k);
	for (size_t i = 0; !rc && i < out->n; i++)
		out->n_before += is_done(&out->v[i]);
	k.done = out->n_before;
	for (size_t i = 0; !rc && i < out->n; i++) {
		if (is_done(&out->v[i]))
			continue;
		rc = tell(&k, NULL) ? err_set(RAG_ECANCEL, "cancelled") : ask_one(&k, &out->v[i]);
		k.done++;
	}
	rag_set_progress(collection_rag(c), NULL, NULL);
	if (k.log && fclose(k.log) && !rc)
		rc = err_set(RAG_EIO, "cannot write '%s': %s", o->log, strerror(errno));
	return rc ? rc : summarise(out);
}

void answers_release(struct answers *a)
{
	for (size_t i = 0; i < a->n; i++)
		forget(&a->v[i]);
	mem_free(a->v);
	memset(a, 0, sizeof(*a));
}
