#include "config.h"
#include "src/eval/judged.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

struct record {			/* a document or a query */
	char *id, *title, *text;	/* owned; a query has no title */
	size_t title_len, text_len, line;
	char **answers;			/* owned (n_answers) */
	size_t n_answers;
	char *asked, *answered;		/* owned; of the turn before; NULL: none */
	bool answerable;
	long written_for;
	size_t first, n;		/* a query's judgements */
};

struct records {
	struct record *v;	/* owned (n) in the file's order */
	size_t n;
	uint32_t *by_id;	/* owned (n) their numbers in the order of ids */
};

struct judged {
	struct records docs, queries;
	struct judged_grade *grades;	/* owned (n_grades) by query, then document */
	size_t n_grades;
	uint8_t hash[HASH_LEN];
};

struct reader {
	struct judged *j;
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

static int new_record(struct record **out, struct records *all, size_t line)
{
	struct record *v = grown(all->v, all->n, sizeof(*v));

	if (!v)
		return RAG_ENOMEM;
	all->v = v;
	*out = &v[all->n++];
	**out = (struct record){ .line = line, .answerable = true, .written_for = -1 };
	return RAG_OK;
}

static int take_str(char **out, size_t *len, const struct json *obj, const char *key)
{
	const struct json *j = json_get(obj, key);

	*len = json_is_str(j) ? json_str_len(j) : 0;
	*out = mem_strndup(json_str(j, ""), *len);
	return *out ? RAG_OK : RAG_ENOMEM;
}

/* Ids are compared and printed: what would be lost or misread there is refused. */
static int take_id(struct record *out, const struct reader *r, const struct json *obj)
{
	size_t len;
	int rc = take_str(&out->id, &len, obj, "id");

	if (rc)
		return rc;
	if (!len)
		return bad(r, "the \"id\" is empty", "");
	if (strlen(out->id) != len || out->id[strcspn(out->id, "\t\r\n")])
		return bad(r, "a control character in the id ", out->id);
	return RAG_OK;
}

static int take_doc(struct reader *r, const struct json *obj)
{
	struct record *d;
	int rc = new_record(&d, &r->j->docs, r->line);

	if (!rc)
		rc = take_id(d, r, obj);
	if (!rc)
		rc = take_str(&d->title, &d->title_len, obj, "title");
	return rc ? rc : take_str(&d->text, &d->text_len, obj, "text");
}

static int take_answers(struct record *q, const struct reader *r, const struct json *all)
{
	size_t n = json_len(all);

	if (!all)
		return RAG_OK;
	if (!json_is_arr(all))
		return bad(r, "\"answers\" is no list", "");
	q->answers = mem_calloc(n, sizeof(*q->answers));
	if (!q->answers)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!json_is_str(json_at(all, i)))
			return bad(r, "an answer is no string", "");
		q->answers[i] = mem_strdup(json_str(json_at(all, i), ""));
		if (!q->answers[i])
			return RAG_ENOMEM;
		q->n_answers++;
	}
	return RAG_OK;
}

/* The last turns of [{"speaker": "user" | ..., "text": ...}, ...]. */
static int take_history(struct record *q, const struct reader *r, const struct json *all)
{
	if (all && !json_is_arr(all))
		return bad(r, "\"history\" is no list", "");
	for (size_t i = 0; i < json_len(all); i++) {
		const struct json *turn = json_at(all, i), *text = json_get(turn, "text");
		char **slot = strcmp(json_str(json_get(turn, "speaker"), ""), "user") ? &q->answered : &q->asked;

		if (!json_is_str(text))
			return bad(r, "a turn of the history has no text", "");
		mem_free(*slot);
		*slot = mem_strdup(json_str(text, ""));
		if (!*slot)
			return RAG_ENOMEM;
	}
	return RAG_OK;
}

static int take_query(struct reader *r, const struct json *obj)
{
	const char *written_for = json_str(json_get(obj, "written_for"), NULL);
	struct record *q;
	int rc = new_record(&q, &r->j->queries, r->line);

	if (!rc)
		rc = take_id(q, r, obj);
	if (!rc)
		rc = take_str(&q->text, &q->text_len, obj, "text");
	if (!rc && !q->text[strspn(q->text, " \t\r\n")])
		rc = bad(r, "the text is empty of query ", q->id);
	if (!rc)
		rc = take_answers(q, r, json_get(obj, "answers"));
	if (!rc)
		rc = take_history(q, r, json_get(obj, "history"));
	if (rc)
		return rc;
	q->answerable = json_bool(json_get(obj, "answerable"), true);
	if (written_for && r->j->docs.by_id)
		q->written_for = judged_find(r->j, written_for);
	return RAG_OK;
}

typedef int (*line_fn)(struct reader *r, const char *line, size_t len);

/* Calls fn with each line that is not empty. */
static int read_lines(struct reader *r, line_fn fn)
{
	struct map m;
	const char *p, *end, *nl;
	int rc = map_open(&m, r->path);

	if (rc)
		return rc;
	p = (const char *)m.data;
	end = p + m.len;
	for (r->line = 1; p < end && !rc; p = nl + 1, r->line++) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		if (nl != p && !(nl == p + 1 && *p == '\r'))
			rc = fn(r, p, (size_t)(nl - p));
	}
	map_close(&m);
	return rc;
}

static int read_record(struct reader *r, const char *line, size_t len,
		       int (*fn)(struct reader *, const struct json *))
{
	struct json *obj = NULL;
	int rc = json_parse_line(&obj, line, len, r->path, r->line);

	if (!rc && (!json_is_str(json_get(obj, "id")) || !json_is_str(json_get(obj, "text"))))
		rc = bad(r, "no strings \"id\" and \"text\"", "");
	if (!rc)
		rc = fn(r, obj);
	json_free(obj);
	return rc;
}

static int doc_line(struct reader *r, const char *line, size_t len)
{
	return read_record(r, line, len, take_doc);
}

static int query_line(struct reader *r, const char *line, size_t len)
{
	return read_record(r, line, len, take_query);
}

static int id_cmp(const void *a, const void *b, void *arg)
{
	const struct records *r = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = strcmp(r->v[x].id, r->v[y].id);

	return order ? order : (x > y) - (x < y);
}

static int sort_ids(struct records *all)
{
	all->by_id = mem_calloc(all->n, sizeof(*all->by_id));
	if (!all->by_id)
		return RAG_ENOMEM;
	for (size_t i = 0; i < all->n; i++)
		all->by_id[i] = (uint32_t)i;
	qsort_r(all->by_id, all->n, sizeof(*all->by_id), id_cmp, all);
	return RAG_OK;
}

static int check_ids(const struct records *all, struct reader *r, const char *what)
{
	for (size_t i = 1; i < all->n; i++) {
		const struct record *a = &all->v[all->by_id[i - 1]], *b = &all->v[all->by_id[i]];

		if (!strcmp(a->id, b->id))
			return err_set(RAG_EFORMAT, "'%s', line %zu: two %s '%.100s', the other in line %zu",
				       r->path, b->line, what, b->id, a->line);
	}
	return RAG_OK;
}

static long find_id(const struct records *all, const char *id)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(id, all->v[all->by_id[mid]].id);

		if (!order)
			return (long)all->by_id[mid];
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

long judged_find(const struct judged *j, const char *doc_id)
{
	return find_id(&j->docs, doc_id);
}

/* ---- judgements ------------------------------------------------------------- */

/* The first line names the columns, unless it ends in a grade. */
static bool is_header(const struct reader *r, const char *line, size_t len)
{
	while (len && line[len - 1] == '\r')
		len--;
	return r->line == 1 && (!len || line[len - 1] < '0' || line[len - 1] > '9');
}

/* "query TAB document TAB grade": cut up in a copy, which the caller frees. */
static int cut_grade(char **query, char **doc, int *grade, const struct reader *r,
		     const char *line, size_t len)
{
	char *text, *end;
	long v;

	*query = mem_strndup(line, len);
	if (!*query)
		return RAG_ENOMEM;
	*doc = strchr(*query, '\t');
	text = *doc ? strchr(*doc + 1, '\t') : NULL;
	if (!text)
		return bad(r, "not query, document and grade, separated by tabs", "");
	*(*doc)++ = 0;
	*text++ = 0;
	text[strcspn(text, "\r")] = 0;
	errno = 0;
	v = strtol(text, &end, 10);
	if (end == text || *end || errno || v < -1000 || v > 1000)
		return bad(r, "no grade: ", text);
	*grade = (int)v;
	return RAG_OK;
}

static int take_grade(struct reader *r, const char *query, const char *doc, int grade)
{
	long q = find_id(&r->j->queries, query), d = judged_find(r->j, doc);
	struct judged_grade *grades;

	if (q < 0)
		return bad(r, "no such query: ", query);
	if (d < 0)
		return bad(r, "no such document: ", doc);
	grades = grown(r->j->grades, r->j->n_grades, sizeof(*grades));
	if (!grades)
		return RAG_ENOMEM;
	r->j->grades = grades;
	grades[r->j->n_grades++] =
		(struct judged_grade){ (uint32_t)q, (uint32_t)d, grade, (uint32_t)r->line };
	return RAG_OK;
}

static int grade_line(struct reader *r, const char *line, size_t len)
{
	char *query, *doc;
	int grade, rc;

	if (is_header(r, line, len))
		return RAG_OK;
	rc = cut_grade(&query, &doc, &grade, r, line, len);
	if (!rc)
		rc = take_grade(r, query, doc, grade);
	mem_free(query);
	return rc;
}

/* Where there is no corpus: each document that is named, as often as it is. */
static int named_line(struct reader *r, const char *line, size_t len)
{
	char *query, *doc;
	struct record *d;
	int grade, rc;

	if (is_header(r, line, len))
		return RAG_OK;
	rc = cut_grade(&query, &doc, &grade, r, line, len);
	if (!rc)
		rc = new_record(&d, &r->j->docs, r->line);
	if (!rc) {
		d->id = mem_strdup(doc);
		d->title = mem_strdup("");
		d->text = mem_strdup("");
		rc = d->id && d->title && d->text ? RAG_OK : RAG_ENOMEM;
	}
	mem_free(query);
	return rc;
}

static void record_release(struct record *r)
{
	for (size_t i = 0; i < r->n_answers; i++)
		mem_free(r->answers[i]);
	mem_free(r->answers);
	mem_free(r->asked);
	mem_free(r->answered);
	mem_free(r->id);
	mem_free(r->title);
	mem_free(r->text);
	memset(r, 0, sizeof(*r));
}

static int first_cmp(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	int order = strcmp(x->id, y->id);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int read_named(struct reader *r)
{
	struct records *all = &r->j->docs;
	size_t n = 0;
	int rc = read_lines(r, named_line);

	if (rc || !all->n)
		return rc;
	qsort(all->v, all->n, sizeof(*all->v), first_cmp);
	for (size_t i = 0; i < all->n; i++) {
		if (n && !strcmp(all->v[n - 1].id, all->v[i].id)) {
			record_release(&all->v[i]);
		} else {
			struct record keep = all->v[i];

			memset(&all->v[i], 0, sizeof(keep));
			all->v[n++] = keep;
		}
	}
	all->n = n;
	return RAG_OK;
}

static int grade_cmp(const void *a, const void *b)
{
	const struct judged_grade *x = a, *y = b;

	if (x->query != y->query)
		return x->query < y->query ? -1 : 1;
	if (x->doc != y->doc)
		return x->doc < y->doc ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static int sort_grades(struct judged *j, const struct reader *r)
{
	if (j->n_grades)
		qsort(j->grades, j->n_grades, sizeof(*j->grades), grade_cmp);
	for (size_t i = 0; i < j->n_grades; i++) {
		const struct judged_grade *g = &j->grades[i];
		struct record *q = &j->queries.v[g->query];

		if (i && g[-1].query == g->query && g[-1].doc == g->doc)
			return err_set(RAG_EFORMAT, "'%s', line %u: query '%.100s' has document '%.100s' "
				       "twice, the other time in line %u", r->path, g->line, q->id,
				       j->docs.v[g->doc].id, g[-1].line);
		if (!q->n++)
			q->first = i;
	}
	return RAG_OK;
}

/* ---- the set ------------------------------------------------------------------ */

static int set_path(struct reader *r, const char *dir, const char *file)
{
	int n = snprintf(r->path, sizeof(r->path), "%s/%s", dir, file);

	if (n < 0 || (size_t)n >= sizeof(r->path))
		return err_set(RAG_EINVAL, "path too long: '%.100s...'", dir);
	return RAG_OK;
}

static int read_corpus(struct reader *r, const char *dir, bool corpus)
{
	struct records *docs = &r->j->docs;
	int rc = set_path(r, dir, corpus ? "corpus.jsonl" : "qrels.tsv");

	if (!rc)
		rc = corpus ? read_lines(r, doc_line) : read_named(r);
	if (!rc && corpus && !docs->n)
		rc = err_set(RAG_EFORMAT, "no document in '%s'", r->path);
	if (!rc)
		rc = sort_ids(docs);
	return rc ? rc : check_ids(docs, r, "documents");
}

static int read_queries(struct reader *r, const char *dir)
{
	struct records *queries = &r->j->queries;
	int rc = set_path(r, dir, "queries.jsonl");

	if (!rc)
		rc = read_lines(r, query_line);
	if (!rc && !queries->n)
		rc = err_set(RAG_EFORMAT, "no query in '%s'", r->path);
	if (!rc)
		rc = sort_ids(queries);
	return rc ? rc : check_ids(queries, r, "queries");
}

static int read_qrels(struct reader *r, const char *dir)
{
	int rc = set_path(r, dir, "qrels.tsv");

	if (!rc)
		rc = read_lines(r, grade_line);
	return rc ? rc : sort_grades(r->j, r);
}

static void hash_str(struct hash_state *h, const char *s, size_t n)
{
	uint64_t len = n;

	hash_add(h, &len, sizeof(len));
	hash_add(h, s, n);
}

static void hash_corpus(struct judged *j)
{
	struct hash_state h;

	hash_begin(&h);
	for (size_t i = 0; i < j->docs.n; i++) {
		const struct record *d = &j->docs.v[i];

		hash_str(&h, d->id, strlen(d->id));
		hash_str(&h, d->title, d->title_len);
		hash_str(&h, d->text, d->text_len);
	}
	hash_end(j->hash, &h);
}

int judged_open(struct judged **out, const char *dir, bool corpus)
{
	struct judged *j = mem_calloc(1, sizeof(*j));
	struct reader r = { .j = j };
	int rc;

	*out = NULL;
	if (!j)
		return RAG_ENOMEM;
	if ((rc = read_corpus(&r, dir, corpus)) || (rc = read_queries(&r, dir)) ||
	    (rc = read_qrels(&r, dir))) {
		judged_close(j);
		return rc;
	}
	hash_corpus(j);
	*out = j;
	return RAG_OK;
}

static void records_release(struct records *all)
{
	for (size_t i = 0; i < all->n; i++)
		record_release(&all->v[i]);
	mem_free(all->v);
	mem_free(all->by_id);
}

void judged_close(struct judged *j)
{
	if (!j)
		return;
	records_release(&j->docs);
	records_release(&j->queries);
	mem_free(j->grades);
	mem_free(j);
}

size_t judged_n_docs(const struct judged *j)
{
	return j->docs.n;
}

size_t judged_n_queries(const struct judged *j)
{
	return j->queries.n;
}

struct judged_doc judged_doc_at(const struct judged *j, size_t i)
{
	const struct record *d = &j->docs.v[i];

	return (struct judged_doc){ d->id, d->title, d->text, d->title_len, d->text_len };
}

struct judged_query judged_query_at(const struct judged *j, size_t i)
{
	const struct record *q = &j->queries.v[i];
	struct judged_query out = {
		.id = q->id, .text = q->text, .text_len = q->text_len,
		.answers = (const char *const *)q->answers, .n_answers = q->n_answers,
		.asked = q->asked, .answered = q->answered,
		.answerable = q->answerable, .written_for = q->written_for,
	};

	for (size_t k = 0; k < q->n; k++)
		out.n_relevant += j->grades[q->first + k].grade > 0;
	return out;
}

size_t judged_grades(const struct judged_grade **out, const struct judged *j, size_t query)
{
	*out = j->grades + j->queries.v[query].first;
	return j->queries.v[query].n;
}

int judged_grade_of(const struct judged *j, size_t query, size_t doc)
{
	const struct judged_grade *g;
	size_t n = judged_grades(&g, j, query), lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (g[mid].doc < doc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && g[lo].doc == doc ? g[lo].grade : 0;
}

const uint8_t *judged_hash(const struct judged *j)
{
	return j->hash;
}

uint64_t judged_tie(const char *doc_id)
{
	uint8_t hash[HASH_LEN];
	uint64_t tie = 0;

	hash_bytes(hash, doc_id, strlen(doc_id));
	for (size_t i = 0; i < sizeof(tie); i++)
		tie = tie << 8 | hash[i];
	return tie;
}
