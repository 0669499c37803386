#include "config.h"
#include "index/filter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "index/filter_impl.h"

#define DIGITS 15	/* that any double holds exactly */

void filter_node_free(struct filter_node *n)
{
	while (n) {
		struct filter_node *next = n->next;

		filter_node_free(n->child);	/* FILTER_DEPTH bounds it */
		for (size_t i = 0; i < n->n; i++)
			mem_free(n->value[i].text);
		mem_free(n->value);
		mem_free(n->name);
		regex_free(n->re);
		mem_free(n);
		n = next;
	}
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	filter_node_free(f->root);
	mem_free(f);
}

/* ---- values ----------------------------------------------------------------- */

static size_t digits(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= '0' && s[i] <= '9')
		i++;
	return i;
}

/* Not strtod(): that goes by the locale, and takes "nan", "0x10" and " 1". */
bool filter_number(double *out, const char *s, size_t n)
{
	size_t i = n && (*s == '-' || *s == '+'), whole = digits(s + i, n - i), part = 0;
	double v = 0, scale;
	int e = 0;

	for (size_t k = 0; k < whole; k++)
		v = v * 10 + (s[i + k] - '0');
	i += whole;
	if (i + 1 < n && s[i] == '.') {
		part = digits(s + i + 1, n - i - 1);
		for (size_t k = 0; k < part; k++)
			v = v * 10 + (s[i + 1 + k] - '0');
		i += part ? part + 1 : 0;
	}
	if (whole + part == 0 || whole + part > DIGITS)
		return false;
	if (i + 1 < n && (s[i] == 'e' || s[i] == 'E')) {
		size_t sign = s[i + 1] == '-' || s[i + 1] == '+', k = digits(s + i + 1 + sign, n - i - 1 - sign);

		if (!k || k > 3)
			return false;
		for (size_t d = 0; d < k; d++)
			e = e * 10 + (s[i + 1 + sign + d] - '0');
		e = s[i + 1] == '-' ? -e : e;
		i += 1 + sign + k;
	}
	if (i != n)
		return false;
	e -= (int)part;
	scale = pow(10, e < 0 ? -e : e);
	v = e < 0 ? v / scale : v * scale;
	*out = *s == '-' ? -v : v;
	return isfinite(v);
}

/* -1, 0, 1; 2: no order between them. */
static int filter_order(const struct filter_node *t, const struct filter_value *v, const char *s, size_t n)
{
	double x;
	int c;

	if (v->number && filter_number(&x, s, n))
		return x < v->n ? -1 : x > v->n;
	/* 2020 and "2021-05-03" are dates, 2020 and "unknown" are nothing. */
	if (v->number && !digits(s, n))
		return 2;
	if ((t->key == FILTER_ADDED || t->key == FILTER_MODIFIED) && n > v->len)
		n = v->len;
	c = memcmp(s, v->text, n < v->len ? n : v->len);
	return c ? (c < 0 ? -1 : 1) : n < v->len ? -1 : n > v->len;
}

/* Is the term true of this value? */
static int holds(bool *out, const struct filter_node *t, const char *s, size_t n)
{
	*out = false;
	if (t->op == FILTER_HAS)
		*out = true;
	else if (t->op == FILTER_REGEX)
		return regex_has(out, t->re, s, n);
	else if (t->op == FILTER_GLOB)
		*out = filter_glob_range(t->value->text, s, n, t->key == FILTER_URI || t->key == FILTER_PATH);
	for (size_t i = 0; i < t->n && t->op <= FILTER_GE && !*out; i++) {
		int c = filter_order(t, &t->value[i], s, n);

		switch (t->op) {
		case FILTER_LT:
			*out = c == -1;
			break;
		case FILTER_LE:
			*out = c == -1 || c == 0;
			break;
		case FILTER_GT:
			*out = c == 1;
			break;
		case FILTER_GE:
			*out = c == 1 || c == 0;
			break;
		default:
			*out = c == 0;
		}
	}
	return RAG_OK;
}

/* ---- what a document has under a key ----------------------------------------- */

/* "key=value" items up to `sep` each.  *found: the key is there. */
static int in_list(bool *out, bool *found, const struct filter_node *t, const char *list, char sep)
{
	int rc = RAG_OK;

	*found = false;
	for (const char *p = list; !rc && !*out && *p; ) {
		const char *end = strchr(p, sep);
		size_t n = end ? (size_t)(end - p) : strlen(p);

		if (n > t->name_len && p[t->name_len] == '=' && !memcmp(p, t->name, t->name_len)) {
			*found = true;
			rc = holds(out, t, p + t->name_len + 1, n - t->name_len - 1);
		}
		p += n;
		p += *p == sep;
	}
	return rc;
}

/* The path, then what is left of it behind each '/'. */
static int in_path(bool *out, const struct filter_node *t, const char *uri)
{
	char *local = NULL;
	const char *path = uri, *scheme = strstr(uri, "://");
	int rc = !strncmp(uri, "file:", 5) ? file_from_uri(&local, uri) : RAG_EINVAL;

	if (rc == RAG_ENOMEM)
		return rc;
	if (!rc)
		path = local;
	else if (scheme && strchr(scheme + 3, '/'))
		path = strchr(scheme + 3, '/');
	rc = holds(out, t, path, strlen(path));
	for (const char *p = path; !rc && !*out && (p = strchr(p, '/')) && *++p; )
		rc = holds(out, t, p, strlen(p));
	mem_free(local);
	return rc;
}

static int in_time(bool *out, const struct filter_node *t, int64_t seconds)
{
	time_t at = (time_t)seconds;
	struct tm tm;
	char s[40];

	if (!seconds || !gmtime_r(&at, &tm))
		return RAG_OK;	/* not known */
	return holds(out, t, s, strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%SZ", &tm));
}

static int term(bool *out, const struct filter_node *t, const struct store_doc *d)
{
	char size[24];
	bool found;
	int rc;

	*out = false;
	switch (t->key) {
	case FILTER_URI:
		return holds(out, t, d->uri, strlen(d->uri));
	case FILTER_PATH:
		return in_path(out, t, d->uri);
	case FILTER_TITLE:
		return *d->title ? holds(out, t, d->title, strlen(d->title)) : RAG_OK;
	case FILTER_TYPE:
		return *d->type ? holds(out, t, d->type, strlen(d->type)) : RAG_OK;
	case FILTER_SIZE:
		snprintf(size, sizeof(size), "%llu", (unsigned long long)d->source_size);
		return holds(out, t, size, strlen(size));
	case FILTER_ADDED:
		return in_time(out, t, d->added);
	case FILTER_MODIFIED:
		return in_time(out, t, d->source_mtime / 1000000000);
	case FILTER_LABEL:
		break;
	}
	rc = in_list(out, &found, t, d->labels, ',');
	return rc || found ? rc : in_list(out, &found, t, d->about, '\n');
}

/* ---- expressions -------------------------------------------------------------- */

static int eval(bool *out, const struct filter_node *n, const struct store_doc *d)
{
	bool stop = n->kind == FILTER_OR;
	int rc = RAG_OK;

	if (n->kind == FILTER_TERM)
		return term(out, n, d);
	*out = !stop;
	for (const struct filter_node *c = n->child; !rc && c; c = c->next) {
		rc = eval(out, c, d);
		if (n->kind != FILTER_NOT && *out == stop)
			break;
	}
	if (n->kind == FILTER_NOT)
		*out = !*out;
	return rc;
}

int filter_match(bool *out, const struct filter *f, const struct store_doc *d)
{
	int rc;

	*out = true;
	rc = f ? eval(out, f->root, d) : RAG_OK;
	return rc == RAG_ELIMIT ? err_within(rc, "filter on '%.200s'", d->uri) : rc;
}

struct pass {
	struct ranges *out;
	struct store_snap *snap;
	const struct filter *filter;
};

static int allow(void *arg, const struct store_doc *d)
{
	struct pass *p = arg;
	struct store_range r;
	bool yes;
	int rc;

	if (!d->n_chunks)
		return RAG_OK;
	rc = filter_match(&yes, p->filter, d);
	if (!rc && yes)
		rc = store_content_range(&r, p->snap, d->content);
	return rc || !yes ? rc : ranges_add(p->out, r);
}

int filter_ranges(struct ranges *out, struct store_snap *v, const struct filter *f)
{
	struct pass p = { out, v, f };
	int rc = store_docs(v, allow, &p);

	ranges_settle(out);
	return rc;
}
