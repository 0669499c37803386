#include "config.h"

#include "ingest/ignore.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define MAX_FILE ((size_t)1 << 20)	/* bytes of an ignore file */

/* One set [..] against c; *end: behind the ']', NULL: no set. */
static bool in_set(const char **end, const char *p, char c)
{
	bool not = p[1] == '!' || p[1] == '^', hit = false;
	const char *s = p + 1 + not, *first = s;

	*end = NULL;
	for (; *s && (*s != ']' || s == first); s++) {
		unsigned char lo, hi;

		if (*s == '\\' && s[1])
			s++;
		lo = hi = (unsigned char)*s;
		if (s[1] == '-' && s[2] && s[2] != ']') {
			s += 2;
			if (*s == '\\' && s[1])
				s++;
			hi = (unsigned char)*s;
		}
		hit |= (unsigned char)c >= lo && (unsigned char)c <= hi;
	}
	if (!*s)
		return false;
	*end = s + 1;
	return hit != not && c != '/';
}

bool ignore_glob(const char *p, const char *s)
{
	/* Two places to come back to: the last '*' within a part, the last "**" between
	 * parts.  A later one makes an earlier one needless, so there is no recursion. */
	const char *star = NULL, *star_s = NULL, *deep = NULL, *deep_s = NULL, *start = p;

	for (;;) {
		const char *end = NULL;
		bool one = false;

		if (p[0] == '*' && p[1] == '*' && (p == start || p[-1] == '/') && (p[2] == '/' || !p[2])) {
			if (!p[2])
				return *s != 0;		/* everything inside */
			p += 3;
			deep = p;
			deep_s = s;
			star = NULL;
			continue;
		}
		if (*p == '*') {
			while (*p == '*')
				p++;
			star = p;
			star_s = s;
			continue;
		}
		if (!*p && !*s)
			return true;
		if (*s && *p == '?' && *s != '/') {
			one = true;
			end = p + 1;
		} else if (*s && *p == '[') {
			one = in_set(&end, p, *s);
			if (!end) {
				one = *s == '[';
				end = p + 1;
			}
		} else if (*s && *p) {
			const char *lit = *p == '\\' && p[1] ? p + 1 : p;

			one = *lit == *s;
			end = lit + 1;
		}
		if (one) {
			p = end;
			s++;
			continue;
		}
		if (star && *star_s && *star_s != '/') {
			p = star;
			s = ++star_s;
			continue;
		}
		star = NULL;
		if (!deep)
			return false;
		deep_s = strchr(deep_s, '/');
		if (!deep_s)
			return false;
		p = deep;
		s = ++deep_s;
	}
}

static int add_rule(struct ignore_rules *r, const char *s, size_t n, size_t base, const char *file)
{
	struct ignore_rule rule = { .base = base, .file = file };

	while (n && (s[n - 1] == '\r' || ((s[n - 1] == ' ' || s[n - 1] == '\t') && (n < 2 || s[n - 2] != '\\'))))
		n--;
	if (!n || *s == '#')
		return RAG_OK;
	if (*s == '!') {
		rule.negated = true;
		s++;
		n--;
	}
	if (n && s[n - 1] == '/') {
		rule.folder = true;
		n--;
	}
	if (n && *s == '/') {
		rule.tied = true;
		s++;
		n--;
	}
	if (!n)
		return RAG_OK;
	rule.tied |= memchr(s, '/', n) != NULL;
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct ignore_rule *v = mem_realloc(r->v, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		r->v = v;
		r->cap = cap;
	}
	rule.pattern = mem_strndup(s, n);
	if (!rule.pattern)
		return RAG_ENOMEM;
	r->v[r->n++] = rule;
	return RAG_OK;
}

static int load_file(struct ignore_rules *r, const char *folder, size_t base, const char *name)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	struct file_info info;
	int fd = -1, rc = buf_addf(&path, "%s/%s", folder, name);

	if (!rc && access(buf_str(&path), F_OK))
		goto fail;
	if (!rc)
		rc = file_open(&fd, &info, buf_str(&path));
	if (!rc && info.size > MAX_FILE)
		rc = err_set(RAG_ELIMIT, "'%s' is larger than %zu bytes", buf_str(&path), MAX_FILE);
	if (!rc)
		rc = buf_reserve(&text, (size_t)info.size);
	while (!rc && text.len < info.size) {
		ssize_t k = read(fd, text.data + text.len, (size_t)info.size - text.len);

		if (k <= 0)
			break;
		text.len += (size_t)k;
	}
	for (size_t i = 0; !rc && i < text.len;) {
		const char *nl = memchr(text.data + i, '\n', text.len - i);
		size_t end = nl ? (size_t)(nl - text.data) : text.len;

		/* A NUL ends a pattern as it ends a path. */
		rc = add_rule(r, text.data + i, strnlen(text.data + i, end - i), base, name);
		i = end + 1;
	}
fail:
	file_close(fd);
	buf_release(&text);
	buf_release(&path);
	return rc;
}

int ignore_load(struct ignore_rules *r, const char *folder, size_t base)
{
	int rc = load_file(r, folder, base, ".gitignore");

	return rc ? rc : load_file(r, folder, base, ".ragstoneignore");
}

void ignore_pop(struct ignore_rules *r, size_t n)
{
	while (r->n > n)
		mem_free(r->v[--r->n].pattern);
}

void ignore_release(struct ignore_rules *r)
{
	ignore_pop(r, 0);
	mem_free(r->v);
	memset(r, 0, sizeof(*r));
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *ignore_match(const struct ignore_rules *r, const char *path, bool folder)
{
	for (size_t i = r->n; i-- > 0;) {
		const struct ignore_rule *k = &r->v[i];

		if (k->folder && !folder)
			continue;
		if (ignore_glob(k->pattern, k->tied ? path + k->base : name_of(path)))
			return k->negated ? NULL : k->file;
	}
	return NULL;
}

bool ignore_any(const char *const *patterns, const char *path, bool folder)
{
	for (; patterns && *patterns; patterns++) {
		const char *p = *patterns;
		size_t n = strlen(p);
		char *cut = NULL;
		bool hit;

		/* "build/" means the folder build; a folder's own pattern may end so. */
		if (n > 1 && p[n - 1] == '/') {
			if (!folder)
				continue;
			cut = mem_strndup(p, n - 1);
			if (!cut)
				continue;
			p = cut;
		}
		while (p[0] == '.' && p[1] == '/')
			p += 2;
		hit = ignore_glob(*p == '/' ? p + 1 : p, strchr(p, '/') ? path : name_of(path));
		mem_free(cut);
		if (hit)
			return true;
	}
	return false;
}
