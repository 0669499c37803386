#include "config.h"
#include "src/eval/judged.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "src/eval/metrics.h"

struct doc {
	char *id, *title, *text;	/* owned; the id comes first */
	size_t title_len, text_len;
	uint64_t tie;
};

struct query {
	char *id, *text;		/* owned; the id comes first */
	size_t text_len;
	size_t first, n;		/* its judgements */
};

struct grade {
	uint32_t query, doc;
	int grade;
};

struct judged {
	size_t n_docs, n_queries, n_grades;
	struct doc *docs;		/* (n_docs) in the file's order */
	struct query *queries;		/* (n_queries) in the file's order */
	uint32_t *by_id;		/* (n_docs) documents by id */
	uint32_t *query_by_id;		/* (n_queries) */
	struct grade *grades;		/* (n_grades) by query, then document */
};

struct reader {
	char path[4096];
	size_t line;
};

static int bad(const struct reader *r, const char *why, const char *what)
{
	return err_set(RAG_EFORMAT, "'%s', line %zu: %s%.100s", r->path, r->line, why, what);
}

/* Room for one more in an array that grows by doubling. */
static void *grown(void *p, size_t n, size_t size)
{
	if (n & (n - 1))
		return p;
	return n > UINT32_MAX / 2 ? NULL : mem_realloc(p, n ? 2 * n : 1, size);
}

static int take_str(char **out, size_t *len, const struct json *obj, const char *key)
{
	const struct json *j = json_get(obj, key);

	*len = json_is_str(j) ? json_str_len(j) : 0;
	*out = mem_strndup(json_str(j, ""), *len);
	return *out ? RAG_OK : RAG_ENOMEM;
}

static int take_doc(struct judged *j, const struct json *obj)
{
	struct doc *docs = grown(j->docs, j->n_docs, sizeof(*docs)), *d;
	uint8_t hash[HASH_LEN];
	size_t id_len;
	int rc;

	if (!docs)
		return RAG_ENOMEM;
	j->docs = docs;
	d = &docs[j->n_docs];
	memset(d, 0, sizeof(*d));
	j->n_docs++;
	if ((rc = take_str(&d->id, &id_len, obj, "id")) ||
	    (rc = take_str(&d->title, &d->title_len, obj, "title")) ||
	    (rc = take_str(&d->text, &d->text_len, obj, "text")))
		return rc;
	hash_bytes(hash, d->id, id_len);
	memcpy(&d->tie, hash, sizeof(d->tie));
	return RAG_OK;
}

static int take_query(struct judged *j, const struct json *obj)
{
	struct query *queries = grown(j->queries, j->n_queries, sizeof(*queries)), *q;
	size_t id_len;
	int rc;

	if (!queries)
		return RAG_ENOMEM;
	j->queries = queries;
	q = &queries[j->n_queries];
	memset(q, 0, sizeof(*q));
	j->n_queries++;
	if ((rc = take_str(&q->id, &id_len, obj, "id")) ||
	    (rc = take_str(&q->text, &q->text_len, obj, "text")))
		return rc;
	return RAG_OK;
}

/* Calls fn with each line's object; text is a member that it must have. */
static int read_jsonl(struct judged *j, struct reader *r,
		      int (*fn)(struct judged *, const struct json *))
{
	struct map m;
	const char *p, *end, *nl;
	struct json *obj = NULL;
	int rc = map_open(&m, r->path);

	if (rc)
		return rc;
	p = (const char *)m.data;
	end = p + m.len;
	for (r->line = 1; p < end && !rc; p = nl + 1, r->line++) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		if (nl == p)
			continue;
		if ((rc = json_parse(&obj, p, (size_t)(nl - p), r->path))) {
			if (rc == RAG_EFORMAT)
				err_within(rc, "record %zu", r->line);
		} else if (!json_is_str(json_get(obj, "id")) || !json_is_str(json_get(obj, "text"))) {
			rc = bad(r, "no strings \"id\" and \"text\"", "");
		} else {
			rc = fn(j, obj);
		}
		json_free(obj);
		obj = NULL;
	}
	map_close(&m);
	return rc;
}

/* Documents or queries: records that begin with their id. */
struct records {
	const void *v;
	size_t n, size;
	const uint32_t *by_id;	/* (n) their numbers in the order of ids */
};

static const char *id_at(const struct records *r, uint32_t i)
{
	const char *id;

	memcpy(&id, (const char *)r->v + i * r->size, sizeof(id));
	return id;
}

static int id_cmp(const void *a, const void *b, void *arg)
{
	return strcmp(id_at(arg, *(const uint32_t *)a), id_at(arg, *(const uint32_t *)b));
}

static struct records docs_of(const struct judged *j)
{
	return (struct records){ j->docs, j->n_docs, sizeof(*j->docs), j->by_id };
}

static struct records queries_of(const struct judged *j)
{
	return (struct records){ j->queries, j->n_queries, sizeof(*j->queries), j->query_by_id };
}

/* *order: (n) the caller owns it. */
static int sort_ids(uint32_t **order, struct records r, const char *dir, const char *what)
{
	uint32_t *o = *order = mem_calloc(r.n, sizeof(*o));

	if (!o)
		return RAG_ENOMEM;
	for (size_t i = 0; i < r.n; i++)
		o[i] = (uint32_t)i;
	qsort_r(o, r.n, sizeof(*o), id_cmp, &r);
	for (size_t i = 1; i < r.n; i++)
		if (!id_cmp(&o[i - 1], &o[i], &r))
			return err_set(RAG_EFORMAT, "'%s/%s '%.100s'", dir, what, id_at(&r, o[i]));
	return RAG_OK;
}

static long find_id(struct records r, const char *id)
{
	size_t lo = 0, hi = r.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(id, id_at(&r, r.by_id[mid]));

		if (!order)
			return (long)r.by_id[mid];
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

long judged_find(const struct judged *j, const char *doc_id)
{
	return find_id(docs_of(j), doc_id);
}

/* "query TAB document TAB grade"; judgements of what is not in the files are
 * an error, as the figures would be wrong unseen. */
static int take_grade(struct judged *j, const struct reader *r, char *line)
{
	char *doc = strchr(line, '\t'), *text = doc ? strchr(doc + 1, '\t') : NULL, *end;
	struct grade *grades;
	long q, d, grade;

	if (!text)
		return bad(r, "not query, document and grade, separated by tabs", "");
	*doc++ = 0;
	*text++ = 0;
	text[strcspn(text, "\r")] = 0;
	errno = 0;
	grade = strtol(text, &end, 10);
	if (end == text || *end || errno || grade < -1000 || grade > 1000)
		return bad(r, "no grade: ", text);
	if ((q = find_id(queries_of(j), line)) < 0)
		return bad(r, "no such query: ", line);
	if ((d = find_id(docs_of(j), doc)) < 0)
		return bad(r, "no such document: ", doc);
	grades = grown(j->grades, j->n_grades, sizeof(*grades));
	if (!grades)
		return RAG_ENOMEM;
	j->grades = grades;
	grades[j->n_grades++] = (struct grade){ (uint32_t)q, (uint32_t)d, (int)grade };
	return RAG_OK;
}

static int grade_cmp(const void *a, const void *b)
{
	const struct grade *x = a, *y = b;

	if (x->query != y->query)
		return x->query < y->query ? -1 : 1;
	return (x->doc > y->doc) - (x->doc < y->doc);
}

static int sort_grades(struct judged *j, const struct reader *r)
{
	if (j->n_grades)
		qsort(j->grades, j->n_grades, sizeof(*j->grades), grade_cmp);
	for (size_t i = 0; i < j->n_grades; i++) {
		struct query *q = &j->queries[j->grades[i].query];

		if (i && !grade_cmp(&j->grades[i - 1], &j->grades[i]))
			return err_set(RAG_EFORMAT, "'%s': query '%.100s' has document '%.100s' twice",
				       r->path, q->id, j->docs[j->grades[i].doc].id);
		if (!q->n++)
			q->first = i;
	}
	return RAG_OK;
}

static int read_qrels(struct judged *j, struct reader *r)
{
	struct map m;
	const char *p, *end, *nl;
	char *line;
	int rc = map_open(&m, r->path);

	if (rc)
		return rc;
	p = (const char *)m.data;
	end = p + m.len;
	for (r->line = 1; p < end && !rc; p = nl + 1, r->line++) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		if (nl == p || r->line == 1)	/* the first names the columns */
			continue;
		line = mem_strndup(p, (size_t)(nl - p));
		rc = line ? take_grade(j, r, line) : RAG_ENOMEM;
		mem_free(line);
	}
	map_close(&m);
	return rc ? rc : sort_grades(j, r);
}

static int set_path(struct reader *r, const char *dir, const char *file)
{
	int n = snprintf(r->path, sizeof(r->path), "%s/%s", dir, file);

	if (n < 0 || (size_t)n >= sizeof(r->path))
		return err_set(RAG_EINVAL, "path too long: '%.100s...'", dir);
	return RAG_OK;
}

int judged_open(struct judged **out, const char *dir)
{
	struct judged *j = mem_calloc(1, sizeof(*j));
	struct reader r = { .line = 0 };
	int rc;

	if (!j)
		return RAG_ENOMEM;
	if ((rc = set_path(&r, dir, "corpus.jsonl")) || (rc = read_jsonl(j, &r, take_doc)) ||
	    (rc = set_path(&r, dir, "queries.jsonl")) || (rc = read_jsonl(j, &r, take_query)) ||
	    (rc = sort_ids(&j->by_id, docs_of(j), dir, "corpus.jsonl': two documents")) ||
	    (rc = sort_ids(&j->query_by_id, queries_of(j), dir, "queries.jsonl': two queries")) ||
	    (rc = set_path(&r, dir, "qrels.tsv")) || (rc = read_qrels(j, &r)))
		goto fail;
	*out = j;
	return RAG_OK;
fail:
	judged_close(j);
	return rc;
}

void judged_close(struct judged *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->n_docs; i++) {
		mem_free(j->docs[i].id);
		mem_free(j->docs[i].title);
		mem_free(j->docs[i].text);
	}
	for (size_t i = 0; i < j->n_queries; i++) {
		mem_free(j->queries[i].id);
		mem_free(j->queries[i].text);
	}
	mem_free(j->docs);
	mem_free(j->queries);
	mem_free(j->by_id);
	mem_free(j->query_by_id);
	mem_free(j->grades);
	mem_free(j);
}

size_t judged_n_docs(const struct judged *j)
{
	return j->n_docs;
}

size_t judged_n_queries(const struct judged *j)
{
	return j->n_queries;
}

struct judged_doc judged_doc_at(const struct judged *j, size_t i)
{
	const struct doc *d = &j->docs[i];

	return (struct judged_doc){ d->id, d->title, d->text, d->title_len, d->text_len };
}

struct judged_query judged_query_at(const struct judged *j, size_t i)
{
	const struct query *q = &j->queries[i];
	struct judged_query out = { q->id, q->text, q->text_len, 0 };

	for (size_t k = 0; k < q->n; k++)
		out.n_relevant += j->grades[q->first + k].grade > 0;
	return out;
}

uint64_t judged_tie(const struct judged *j, size_t doc)
{
	return j->docs[doc].tie;
}

static int grade_of(const struct judged *j, const struct query *q, size_t doc)
{
	struct grade key = { (uint32_t)(q - j->queries), (uint32_t)doc, 0 };
	const struct grade *g = bsearch(&key, j->grades + q->first, q->n, sizeof(key), grade_cmp);

	return g ? g->grade : 0;
}

static int score_query(struct judged_scores *sum, const struct judged *j, size_t query,
		       judged_rank_fn fn, void *arg)
{
	const struct query *q = &j->queries[query];
	struct judged_hit hits[JUDGED_DEPTH];
	double gains[JUDGED_DEPTH], found[JUDGED_DEPTH];
	float scores[JUDGED_DEPTH];
	size_t n = 0;
	int rc = fn(arg, query, hits, &n, JUDGED_DEPTH), *judged;

	if (rc)
		return rc;
	judged = mem_calloc(q->n, sizeof(*judged));
	if (!judged)
		return RAG_ENOMEM;
	for (size_t i = 0; i < q->n; i++)
		judged[i] = j->grades[q->first + i].grade;
	for (size_t i = 0; i < n; i++) {
		int grade = grade_of(j, q, hits[i].doc);

		gains[i] = grade > 0 ? grade : 0;
		found[i] = grade > 0;
		scores[i] = hits[i].score;
	}
	metrics_tied(gains, scores, n);
	metrics_tied(found, scores, n);
	sum->n_queries++;
	sum->ndcg10 += metrics_ndcg(gains, n, judged, q->n, 10);
	sum->recall10 += metrics_recall(found, n, judged, q->n, 10);
	sum->recall100 += metrics_recall(found, n, judged, q->n, 100);
	mem_free(judged);
	return RAG_OK;
}

int judged_run(struct judged_scores *out, const struct judged *j, judged_rank_fn fn, void *arg,
	       const struct progress *progress)
{
	struct judged_scores sum = { .n_docs = j->n_docs };
	int rc;

	for (size_t i = 0; i < j->n_queries; i++) {
		if ((rc = progress_tick(progress, "search", NULL, i, j->n_queries)))
			return rc;
		if (judged_query_at(j, i).n_relevant && (rc = score_query(&sum, j, i, fn, arg)))
			return rc;
	}
	if (sum.n_queries) {
		sum.ndcg10 /= (double)sum.n_queries;
		sum.recall10 /= (double)sum.n_queries;
		sum.recall100 /= (double)sum.n_queries;
	}
	*out = sum;
	return RAG_OK;
}
