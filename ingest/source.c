#include "config.h"

#include "ingest/source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/http.h"
#include "base/mem.h"
#include "ingest/ignore.h"

#define MAX_DEPTH 256	/* folders within folders: a path of that depth is a mistake */

struct place {
	uint64_t dev, ino;
};

struct walk {
	struct source_list *out;
	const struct source_opts *o;
	struct ignore_rules rules;
	struct buf path;	/* canonical root and what is below it */
	size_t below;		/* where the part below the root begins in path */
	bool whole;
	struct place above[MAX_DEPTH];	/* the folders that we are in, from the root */
	struct place *outside;	/* owned (n_outside): the folders that the root is in */
	size_t n_outside;
	struct place *seen;	/* owned, open addressing; ino 0 && dev 0: free */
	size_t n_seen, cap_seen;
};

static void source_release(struct source *s)
{
	mem_free(s->uri);
	mem_free(s->path);
	mem_free(s->why);
}

/* Takes s's pointers over, also on failure. */
static int add_source(struct source_list *l, struct source s)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct source *v = mem_realloc(l->v, cap, sizeof(*v));

		if (!v) {
			source_release(&s);
			return RAG_ENOMEM;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = s;
	l->bytes += s.size;
	return RAG_OK;
}

/* A problem: the message is the last one set.  Memory and cancelling are no problems
 * of one source. */
static int add_problem(struct source_list *l, struct source s, int problem, bool skip)
{
	if (problem == RAG_ENOMEM || problem == RAG_ECANCEL) {
		source_release(&s);
		return problem;
	}
	s.problem = problem;
	s.skip = skip;
	s.why = mem_strdup(err_msg());
	if (!s.why) {
		source_release(&s);
		return RAG_ENOMEM;
	}
	return add_source(l, s);
}

static int path_uri(char **out, const char *path)
{
	struct buf b = BUF_INIT;
	int rc = file_uri(&b, path);

	*out = rc ? NULL : buf_detach(&b);
	buf_release(&b);
	return rc ? rc : *out ? RAG_OK : RAG_ENOMEM;
}

static int new_file(struct source *s, const char *path, bool named)
{
	memset(s, 0, sizeof(*s));
	s->kind = SOURCE_FILE;
	s->named = named;
	s->path = mem_strdup(path);
	if (!s->path)
		return RAG_ENOMEM;
	return path_uri(&s->uri, path);
}

/* Notes a path of the walk with the last message as its problem. */
static int note(struct walk *w, int problem, bool skip)
{
	struct source s;
	int rc;

	if (problem == RAG_ENOMEM || problem == RAG_ECANCEL)
		return problem;
	rc = new_file(&s, buf_str(&w->path), false);
	if (rc) {
		source_release(&s);
		return rc;
	}
	return add_problem(w->out, s, problem, skip);
}

/* *known: we have been there; else remembers it. */
static int visit(bool *known, struct walk *w, struct place p)
{
	size_t i;

	*known = false;
	if (2 * (w->n_seen + 1) > w->cap_seen) {
		size_t cap = w->cap_seen ? 2 * w->cap_seen : 64;
		struct place *v = mem_calloc(cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		for (size_t k = 0; k < w->cap_seen; k++) {
			if (!w->seen[k].ino && !w->seen[k].dev)
				continue;
			i = (size_t)(w->seen[k].ino * 0x9E3779B97F4A7C15u >> 20) & (cap - 1);
			while (v[i].ino || v[i].dev)
				i = (i + 1) & (cap - 1);
			v[i] = w->seen[k];
		}
		mem_free(w->seen);
		w->seen = v;
		w->cap_seen = cap;
	}
	i = (size_t)(p.ino * 0x9E3779B97F4A7C15u >> 20) & (w->cap_seen - 1);
	while (w->seen[i].ino || w->seen[i].dev) {
		if (w->seen[i].ino == p.ino && w->seen[i].dev == p.dev) {
			*known = true;
			return RAG_OK;
		}
		i = (i + 1) & (w->cap_seen - 1);
	}
	w->seen[i] = p;
	w->n_seen++;
	return RAG_OK;
}

static int walk_folder(struct walk *w, size_t depth, const struct file_info *info);

static int walk_entry(struct walk *w, size_t depth)
{
	const char *path = buf_str(&w->path), *below = path + w->below, *by;
	struct file_info info;
	struct source s;
	int rc;

	rc = file_info(&info, path);
	if (rc) {
		/* A dangling link or a file that is gone again is not an unread folder. */
		if (rc != RAG_ENOENT && rc != RAG_EINVAL)
			w->whole = false;
		return note(w, rc, rc == RAG_ENOENT || rc == RAG_EINVAL);
	}
	by = ignore_match(&w->rules, below, info.type == FILE_FOLDER);
	if (by) {
		err_set(RAG_EUNSUP, "ignored by '%s'", by);
		return note(w, RAG_EUNSUP, true);
	}
	if (ignore_any(w->o->exclude, below, info.type == FILE_FOLDER))
		return RAG_OK;
	if (info.type == FILE_FOLDER)
		return walk_folder(w, depth + 1, &info);
	if (w->o->include && *w->o->include && !ignore_any(w->o->include, below, false))
		return RAG_OK;
	if (info.type != FILE_REGULAR) {
		err_set(RAG_EUNSUP, "not a regular file but %s", info.what);
		return note(w, RAG_EUNSUP, true);
	}
	rc = new_file(&s, path, false);
	if (rc) {
		source_release(&s);
		return rc;
	}
	s.size = info.size;
	return add_source(w->out, s);
}

static bool inside(const struct walk *w, size_t depth, struct place p)
{
	for (size_t i = 0; i < depth && i < MAX_DEPTH; i++)
		if (w->above[i].ino == p.ino && w->above[i].dev == p.dev)
			return true;
	for (size_t i = 0; i < w->n_outside; i++)
		if (w->outside[i].ino == p.ino && w->outside[i].dev == p.dev)
			return true;
	return false;
}

static int walk_folder(struct walk *w, size_t depth, const struct file_info *info)
{
	struct place here = { info->dev, info->ino };
	struct file_names names;
	size_t len = w->path.len, rules = w->rules.n;
	bool known;
	int rc;

	if (inside(w, depth, here)) {
		err_set(RAG_EUNSUP, "directory loop: it leads back to a folder that it is in");
		return note(w, RAG_EUNSUP, true);
	}
	if (depth == MAX_DEPTH) {
		w->whole = false;
		err_set(RAG_ELIMIT, "more than %d folders within each other", MAX_DEPTH);
		return note(w, RAG_ELIMIT, false);
	}
	rc = visit(&known, w, here);
	if (rc)
		return rc;
	if (known) {
		err_set(RAG_EUNSUP, "the folder is in the list already, by another name");
		return note(w, RAG_EUNSUP, true);
	}
	w->above[depth] = here;
	rc = file_names(&names, buf_str(&w->path));
	if (rc) {
		w->whole = false;
		return note(w, rc, false);
	}
	rc = ignore_load(&w->rules, buf_str(&w->path), len > w->below ? len + 1 - w->below : 0);
	if (rc)		/* unreadable rules: the folder's own fault, its files are read */
		rc = note(w, rc, false);
	for (size_t i = 0; !rc && i < names.n; i++) {
		/* Hidden: settings, version control, editors' copies. */
		if (names.v[i][0] == '.')
			continue;
		if (w->path.len && w->path.data[w->path.len - 1] != '/')
			rc = buf_addc(&w->path, '/');
		if (!rc)
			rc = buf_adds(&w->path, names.v[i]);
		if (!rc)
			rc = progress_tick(w->o->progress, "scan", buf_str(&w->path), w->out->n, 0);
		if (!rc)
			rc = walk_entry(w, depth);
		w->path.len = len;
		if (w->path.data)
			w->path.data[len] = 0;
	}
	ignore_pop(&w->rules, rules);
	file_names_release(&names);
	return rc;
}

static int add_root(struct source_list *l, const char *path, bool whole)
{
	if (l->n_roots == l->cap_roots) {
		size_t cap = l->cap_roots ? 2 * l->cap_roots : 4;
		struct source_root *v = mem_realloc(l->root, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		l->root = v;
		l->cap_roots = cap;
	}
	l->root[l->n_roots].path = mem_strdup(path);
	l->root[l->n_roots].whole = whole;
	if (!l->root[l->n_roots].path)
		return RAG_ENOMEM;
	l->n_roots++;
	return RAG_OK;
}

/* A link to a folder above the root is a loop too, though the walk has not come from there. */
static int find_outside(struct walk *w, const char *path)
{
	size_t n = strlen(path), parts = 0;
	struct file_info info;
	int rc;

	for (size_t i = 0; i < n; i++)
		parts += path[i] == '/';
	mem_free(w->outside);
	w->n_outside = 0;
	w->outside = mem_calloc(parts + 1, sizeof(*w->outside));
	if (!w->outside)
		return RAG_ENOMEM;
	buf_clear(&w->path);
	rc = buf_adds(&w->path, path);
	while (!rc && n > 1) {
		while (n > 1 && path[n - 1] != '/')
			n--;
		if (n > 1)
			n--;
		w->path.data[n] = 0;
		if (!file_info(&info, w->path.data))
			w->outside[w->n_outside++] = (struct place){ info.dev, info.ino };
	}
	return rc;
}

static int scan_folder(struct walk *w, const char *path, const struct file_info *info)
{
	int rc = find_outside(w, path);

	buf_clear(&w->path);
	if (!rc)
		rc = buf_adds(&w->path, path);
	w->below = strcmp(path, "/") ? strlen(path) + 1 : 1;
	w->whole = true;
	if (w->seen)	/* a folder within another that was named: doubles go later */
		memset(w->seen, 0, w->cap_seen * sizeof(*w->seen));
	w->n_seen = 0;
	if (!rc)
		rc = walk_folder(w, 0, info);
	return rc ? rc : add_root(w->out, path, w->whole);
}

/* "name:" in front of "//", as RFC 3986 has schemes; a file may hold colons. */
static size_t scheme_len(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n > 1 && !strncmp(s + n, "://", 3) ? n : 0;
}

static int scan_name(struct walk *w, const char *name)
{
	struct source s = { .named = true };
	size_t scheme = scheme_len(name);
	struct file_info info;
	char *path = NULL, *real = NULL;
	int rc;

	s.path = mem_strdup(name);
	if (!s.path)
		return RAG_ENOMEM;
	if (!strcmp(name, "-")) {
		s.kind = SOURCE_STDIN;
		return add_source(w->out, s);
	}
	if (scheme && !(scheme == 4 && !strncasecmp(name, "file", 4))) {
		s.kind = SOURCE_URL;
		rc = http_canonical(&s.uri, name);
		if (!rc)
			return add_source(w->out, s);
		s.uri = mem_strdup(name);
		return s.uri ? add_problem(w->out, s, rc, false) : (source_release(&s), RAG_ENOMEM);
	}
	rc = scheme ? file_from_uri(&path, name) : RAG_OK;
	if (!rc)
		rc = *name ? file_canonical(&real, path ? path : name)
			   : err_set(RAG_ENOENT, "no such file: ''");
	if (!rc)
		rc = file_info(&info, real);
	if (!rc && info.type == FILE_OTHER)
		rc = err_set(RAG_EINVAL, "not a regular file: '%s' is %s", real, info.what);
	if (rc) {
		s.uri = mem_strdup(real ? real : name);
		rc = s.uri ? add_problem(w->out, s, rc, false) : (source_release(&s), RAG_ENOMEM);
	} else if (info.type == FILE_FOLDER) {
		source_release(&s);
		rc = scan_folder(w, real, &info);
	} else {
		mem_free(s.path);
		rc = new_file(&s, real, true);
		s.size = info.size;
		if (rc)
			source_release(&s);
		else
			rc = add_source(w->out, s);
	}
	mem_free(path);
	mem_free(real);
	return rc;
}

static int by_uri(const void *a, const void *b)
{
	const struct source *x = *(const struct source *const *)a, *y = *(const struct source *const *)b;
	int c;

	if (!x->uri || !y->uri)
		return (y->uri != NULL) - (x->uri != NULL);
	c = strcmp(x->uri, y->uri);
	return c ? c : (x > y) - (x < y);
}

/* The same document twice: the first stays, and was named if either was. */
static int drop_doubles(struct source_list *l)
{
	struct source **by = mem_alloc((l->n + 1) * sizeof(*by));
	size_t kept = 0;

	if (!by)
		return RAG_ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		by[i] = &l->v[i];
	qsort(by, l->n, sizeof(*by), by_uri);
	for (size_t i = 0, first = 0; i < l->n; i++) {
		if (i == first || !by[i]->uri || strcmp(by[i]->uri, by[first]->uri)) {
			first = i;
			continue;
		}
		by[first]->named |= by[i]->named;
		l->bytes -= by[i]->size;
		source_release(by[i]);
		by[i]->path = NULL;	/* marks the hole */
		by[i]->uri = by[i]->why = NULL;
		by[i] = by[first];	/* the next is compared with one that is there */
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].path)
			l->v[kept++] = l->v[i];
	l->n = kept;
	mem_free(by);
	return RAG_OK;
}

int source_scan(struct source_list *out, const char *const *names, size_t n, const struct source_opts *o)
{
	struct walk *w = mem_calloc(1, sizeof(*w));
	int rc = w ? RAG_OK : RAG_ENOMEM;

	if (w) {
		w->out = out;
		w->o = o;
	}
	for (size_t i = 0; !rc && i < n; i++)
		rc = scan_name(w, names[i]);
	if (!rc && out->n)
		rc = drop_doubles(out);
	if (w) {
		ignore_release(&w->rules);
		buf_release(&w->path);
		mem_free(w->seen);
		mem_free(w->outside);
		mem_free(w);
	}
	if (rc)
		source_list_release(out);
	return rc;
}

void source_list_release(struct source_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		source_release(&l->v[i]);
	for (size_t i = 0; i < l->n_roots; i++)
		mem_free(l->root[i].path);
	mem_free(l->v);
	mem_free(l->root);
	memset(l, 0, sizeof(*l));
}

int source_open(struct source_file *out, const struct source *s, uint64_t max_bytes,
		bool allow_private, const struct progress *p)
{
	struct http_opts http = HTTP_OPTS_INIT;
	struct http_reply reply = { 0 };
	struct file_info info;
	int rc;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (s->kind == SOURCE_FILE) {
		rc = file_open(&out->fd, &info, s->path);
		out->mtime = info.mtime;
	} else {
		rc = file_memory(&out->fd, "ragstone-source");
		if (!rc && s->kind == SOURCE_STDIN) {
			rc = file_drain(out->fd, STDIN_FILENO, max_bytes, "standard input", p);
		} else if (!rc) {
			http.max_bytes = max_bytes;
			http.allow_private = allow_private;
			http.progress = p;
			rc = http_get(&reply, out->fd, s->path, &http);
		}
		if (!rc)
			rc = file_seal(out->fd);
		if (!rc)
			rc = file_info_fd(&info, out->fd);
	}
	if (!rc && info.size > max_bytes)
		rc = err_set(RAG_ELIMIT, "'%s' has %llu bytes, more than the %llu allowed", s->path,
			     (unsigned long long)info.size, (unsigned long long)max_bytes);
	if (!rc) {
		out->size = info.size;
		out->type = mem_strdup(reply.type ? reply.type : "");
		if (!out->type)
			rc = RAG_ENOMEM;
	}
	http_reply_release(&reply);
	if (rc)
		source_file_release(out);
	return rc;
}

void source_file_release(struct source_file *f)
{
	file_close(f->fd);
	mem_free(f->type);
	memset(f, 0, sizeof(*f));
	f->fd = -1;
}
