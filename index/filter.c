#include "config.h"
#include "index/filter.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct term {
	char *key;	/* owned */
	char *glob;	/* owned */
	bool path;
};

struct filter {
	struct term *term;	/* owned; all must match */
	size_t n;
};

/* ---- globs ---------------------------------------------------------------- */

/* A set at g ("[...]"): its length, and whether c is in it; 0: malformed. */
static size_t set_match(const char *g, unsigned char c, bool *in)
{
	size_t i = 1;
	bool not = g[i] == '!' || g[i] == '^', found = false;

	i += not;
	for (size_t first = i; g[i] && (g[i] != ']' || i == first); ) {
		unsigned char lo, hi;

		if (g[i] == '\\' && g[i + 1])
			i++;
		lo = hi = (unsigned char)g[i++];
		if (g[i] == '-' && g[i + 1] && g[i + 1] != ']') {
			i++;
			if (g[i] == '\\' && g[i + 1])
				i++;
			hi = (unsigned char)g[i++];
		}
		found |= lo <= c && c <= hi;
	}
	*in = found != not;
	return g[i] == ']' ? i + 1 : 0;
}

/* A UTF-8 sequence counts as one character for '?'. */
static size_t char_len(const char *s, const char *end)
{
	const char *p = s + 1;

	while (((unsigned char)*s & 0xC0) == 0xC0 && p < end && ((unsigned char)*p & 0xC0) == 0x80)
		p++;
	return (size_t)(p - s);
}

/* One element of the glob at g, no star, against s: their lengths; false: no match. */
static bool one_match(const char *g, const char *s, const char *end, bool path, size_t *glen, size_t *slen)
{
	bool in;

	*glen = *slen = 1;
	if (s == end)
		return false;
	if (*g == '?') {
		*slen = char_len(s, end);
		return !path || *s != '/';
	}
	if (*g == '[') {
		size_t n = set_match(g, (unsigned char)*s, &in);

		if (n) {
			*glen = n;
			return in && (!path || *s != '/');
		}
	}
	if (*g == '\\' && g[1]) {
		*glen = 2;
		return g[1] == *s;
	}
	return *g == *s;
}

/*
 * Stars match as little as they can and take more when the rest fails.  Only
 * the last star of each kind needs to be taken up again (a later one can do
 * all that an earlier one could), so the time is at most length times length.
 */
static bool glob_whole(const char *glob, const char *s, const char *end, bool path)
{
	const char *star_g = NULL, *star_s = NULL;	/* behind the last '*', and what it stands before */
	const char *deep_g = NULL, *deep_s = NULL;	/* the same of what crosses '/' */
	const char *g = glob;
	bool folders = false;				/* deep is a whole "**" + "/": any folders, or none */
	size_t gn, sn;

	for (;;) {
		if (*g == '*') {
			const char *at = g;

			while (*g == '*')
				g++;
			if (path && g - at < 2) {
				star_g = g;
				star_s = s;
				continue;
			}
			folders = path && *g == '/' && (at == glob || at[-1] == '/');
			g += folders;
			deep_g = g;
			deep_s = s;
			star_g = NULL;
			continue;
		}
		if (!*g && s == end)
			return true;
		if (*g && one_match(g, s, end, path, &gn, &sn)) {
			g += gn;
			s += sn;
			continue;
		}
		if (star_g && star_s < end && *star_s != '/') {
			g = star_g;
			s = ++star_s;
			continue;
		}
		if (deep_g && folders)
			deep_s = memchr(deep_s, '/', (size_t)(end - deep_s));
		if (!deep_g || !deep_s || deep_s == end)
			return false;
		g = deep_g;
		s = ++deep_s;
		star_g = NULL;
	}
}

static bool glob_range(const char *glob, const char *s, size_t n, bool path)
{
	const char *end = s + n, *slash;

	if (glob_whole(glob, s, end, path))
		return true;
	if (!path)
		return false;
	slash = memrchr(s, '/', n);
	if (slash && !strchr(glob, '/') && glob_whole(glob, slash + 1, end, path))
		return true;
	return n > 7 && !memcmp(s, "file://", 7) && !strstr(glob, "://") && glob_whole(glob, s + 7, end, path);
}

bool filter_glob(const char *glob, const char *s, bool path)
{
	return glob_range(glob, s, strlen(s), path);
}

/* ---- expressions --------------------------------------------------------------- */

static int term_add(struct filter *f, const char *key, size_t key_len, const char *glob, size_t glob_len)
{
	struct term *p = mem_realloc(f->term, f->n + 1, sizeof(*p)), *t;

	if (!p)
		return RAG_ENOMEM;
	f->term = p;
	t = &p[f->n++];
	t->key = mem_strndup(key, key_len);
	t->glob = mem_strndup(glob, glob_len);
	t->path = key_len == 3 && !memcmp(key, "uri", 3);
	return t->key && t->glob ? RAG_OK : RAG_ENOMEM;
}

static int bad(const char *expr, const char *at, const char *what)
{
	return err_set(RAG_EINVAL, "filter '%.200s': %s at position %zu", expr, what, (size_t)(at - expr) + 1);
}

/* A quoted pattern: what \" and \\ stand for, the rest as it is.  *end: behind the quote. */
static int unquote(char **out, const char **end, const char *expr, const char *p)
{
	const char *from = p++;
	size_t n = 0;
	char *s = mem_alloc(strlen(p) + 1);

	if (!s)
		return RAG_ENOMEM;
	while (*p && *p != '"') {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		s[n++] = *p++;
	}
	s[n] = 0;
	if (!*p) {
		mem_free(s);
		return bad(expr, from, "a quote that is not closed");
	}
	*out = s;
	*end = p + 1;
	return RAG_OK;
}

/* Where " and" begins, or the end. */
static const char *pattern_end(const char *p)
{
	const char *and = p;

	while ((and = strstr(and, " and")) && and[4] && and[4] != ' ' && and[4] != '\t')
		and++;
	return and ? and : p + strlen(p);
}

static int parse(struct filter *f, const char *expr)
{
	const char *p = expr;
	int rc;

	for (;;) {
		const char *key, *eq, *end;
		char *quoted = NULL;

		p += strspn(p, " \t");
		key = p;
		p += strcspn(p, "= \t\"");
		eq = p;
		if (eq == key)
			return bad(expr, key, *key ? "no key" : "a term is missing");
		p += strspn(p, " \t");
		if (*p != '=')
			return bad(expr, p, "'=' is missing");
		p++;
		p += strspn(p, " \t");
		if (*p == '"') {
			rc = unquote(&quoted, &p, expr, p);
			if (!rc)
				rc = term_add(f, key, (size_t)(eq - key), quoted, strlen(quoted));
			mem_free(quoted);
		} else {
			end = pattern_end(p);
			while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
				end--;
			if (end == p)
				return bad(expr, p, "a pattern is missing");
			rc = term_add(f, key, (size_t)(eq - key), p, (size_t)(end - p));
			p = end;
		}
		if (rc)
			return rc;
		end = p + strspn(p, " \t");
		if (!*end)
			return RAG_OK;
		if (end == p || strncmp(end, "and", 3) || (end[3] && end[3] != ' ' && end[3] != '\t'))
			return bad(expr, end, "' and ' is missing");
		p = end + 3;
	}
}

int filter_parse(struct filter **out, const char *expr, const char *in)
{
	struct filter *f;
	int rc = RAG_OK;

	*out = NULL;
	if ((!expr || !*expr) && (!in || !*in))
		return RAG_OK;
	f = mem_calloc(1, sizeof(*f));
	if (!f)
		return RAG_ENOMEM;
	if (expr && *expr)
		rc = parse(f, expr);
	if (!rc && in && *in)
		rc = term_add(f, "uri", 3, in, strlen(in));
	if (rc)
		goto fail;
	*out = f;
	return RAG_OK;
fail:
	filter_free(f);
	return rc;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		mem_free(f->term[i].key);
		mem_free(f->term[i].glob);
	}
	mem_free(f->term);
	mem_free(f);
}

/* Any label of that key whose value matches. */
static bool label_match(const struct term *t, const char *labels)
{
	size_t key = strlen(t->key);

	for (const char *p = labels; *p; ) {
		size_t n = strcspn(p, ",");

		if (n > key && p[key] == '=' && !memcmp(p, t->key, key) &&
		    glob_range(t->glob, p + key + 1, n - key - 1, false))
			return true;
		p += n;
		p += *p == ',';
	}
	return false;
}

static bool term_match(const struct term *t, const struct store_doc *d)
{
	if (t->path)
		return filter_glob(t->glob, d->uri, true);
	if (!strcmp(t->key, "type"))
		return filter_glob(t->glob, d->type, false);
	if (!strcmp(t->key, "title"))
		return filter_glob(t->glob, d->title, false);
	return label_match(t, d->labels);
}

bool filter_match(const struct filter *f, const struct store_doc *d)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (!term_match(&f->term[i], d))
			return false;
	return true;
}
