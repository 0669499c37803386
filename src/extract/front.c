/*
 * Front matter of Markdown: YAML (libyaml) between --- lines.  Its title is the
 * document's, its scalars and lists of scalars are metadata.  What nests deeper, and
 * aliases, are left out: nothing in it can grow.  TOML between +++ lines gives its
 * title alone, as YAML does that is broken.
 */
#include "config.h"

#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/err.h"
#include "src/extract/doc.h"

#define MAX_FRONT ((size_t)64 << 10)	/* bytes in which front matter must end */
#define MAX_KEY 128

/* The end of the line that begins at i, without its '\n'. */
static size_t line_end(const char *s, size_t n, size_t i)
{
	const char *e = memchr(s + i, '\n', n - i);

	return e ? (size_t)(e - s) : n;
}

static bool line_is(const char *s, size_t len, const char *want)
{
	while (len && strchr(" \t\r", s[len - 1]))
		len--;
	return len == strlen(want) && !memcmp(s, want, len);
}

/* Where YAML has brought us. */
struct front {
	struct doc *d;
	struct buf title;	/* the document's if all is well */
	int depth;		/* open collections; 1: the mapping of all */
	bool other;		/* which is none */
	bool list;		/* the one at depth 2 is a list under key */
	bool has_key;		/* at depth 1 a value is to come */
	char key[MAX_KEY + 1];	/* "": of a kind that we leave out */
};

static int scalar(struct front *f, const char *s, size_t n, bool plain)
{
	bool value = f->depth == 1 && f->has_key, item = f->depth == 2 && f->list;

	if (f->other)
		return RAG_OK;
	if (f->depth == 1 && !f->has_key) {
		memcpy(f->key, s, n <= MAX_KEY ? n : 0);
		f->key[n <= MAX_KEY ? n : 0] = 0;
		f->has_key = true;
		return RAG_OK;
	}
	if (value)
		f->has_key = false;
	/* ~ and null are YAML's ways to say nothing */
	if ((!value && !item) || !f->key[0] || (plain && (line_is(s, n, "~") || line_is(s, n, "null"))))
		return RAG_OK;
	if (strcasecmp(f->key, "title"))
		return doc_about(f->d, f->key, s, n);
	buf_clear(&f->title);
	return buf_add(&f->title, s, n);
}

static void open_collection(struct front *f, bool list)
{
	if (f->depth == 0)
		f->other = list;
	if (f->depth == 1)
		f->list = list && f->has_key;
	f->depth++;
}

/* What was a key or a value at depth 1 is over; a collection as a key names nothing. */
static void over(struct front *f)
{
	if (f->depth != 1)
		return;
	if (!f->has_key)
		f->key[0] = 0;
	f->has_key = !f->has_key;
}

/* *bad: it is no YAML, which is a warning. */
static int yaml(bool *bad, struct doc *d, const char *s, size_t n)
{
	struct front f = { .d = d };
	yaml_parser_t p;
	yaml_event_t e;
	bool end = false;
	int rc = RAG_OK;

	*bad = false;
	if (!yaml_parser_initialize(&p))
		return err_set(RAG_ENOMEM, "out of memory");
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)s, n);
	while (!rc && !end) {
		if (!yaml_parser_parse(&p, &e)) {
			*bad = p.error != YAML_MEMORY_ERROR;
			rc = *bad ? RAG_OK : err_set(RAG_ENOMEM, "out of memory");
			break;
		}
		switch (e.type) {
		case YAML_SCALAR_EVENT:
			rc = scalar(&f, (const char *)e.data.scalar.value, e.data.scalar.length,
				    e.data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
			break;
		case YAML_ALIAS_EVENT:
			over(&f);
			break;
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT:
			open_collection(&f, e.type == YAML_SEQUENCE_START_EVENT);
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			f.depth--;
			over(&f);
			break;
		default:
			end = e.type == YAML_DOCUMENT_END_EVENT || e.type == YAML_STREAM_END_EVENT;
		}
		yaml_event_delete(&e);
	}
	if (*bad && !d->warning[0])
		snprintf(d->warning, sizeof(d->warning), "front matter, line %zu: %s",
			 p.problem_mark.line + 2, p.problem ? p.problem : "no YAML");
	yaml_parser_delete(&p);
	if (!rc && !*bad)
		rc = doc_title(d, buf_str(&f.title), f.title.len);
	buf_release(&f.title);
	return rc;
}

/* The first line `title: ...` or `title = ...`. */
static int title_line(struct doc *d, const char *s, size_t n, char sign)
{
	for (size_t i = 0, e; i < n; i = e + 1) {
		size_t k = i + 5, end;

		e = end = line_end(s, n, i);
		if (e - i <= 6 || strncasecmp(s + i, "title", 5))
			continue;
		while (k < e && (s[k] == ' ' || s[k] == '\t'))
			k++;
		if (k == e || s[k] != sign)
			continue;
		for (k++; k < e && strchr(" \t\"'", s[k]); k++)
			;
		while (end > k && strchr(" \t\r\"'", s[end - 1]))
			end--;
		return doc_title(d, s + k, end - k);
	}
	return RAG_OK;
}

int extract_front(size_t *skip, struct doc *d, const char *s, size_t n)
{
	size_t e = line_end(s, n, 0), from = e + 1;
	bool toml = line_is(s, e, "+++"), bad = toml;
	int rc = RAG_OK;

	*skip = 0;
	if (!toml && !line_is(s, e, "---"))
		return RAG_OK;
	for (size_t i = from; i < n && i < MAX_FRONT; i = e + 1) {
		e = line_end(s, n, i);
		if (!line_is(s + i, e - i, toml ? "+++" : "---") && (toml || !line_is(s + i, e - i, "...")))
			continue;
		*skip = e < n ? e + 1 : n;
		if (!toml)
			rc = yaml(&bad, d, s + from, i - from);
		return rc || !bad ? rc : title_line(d, s + from, i - from, toml ? '=' : ':');
	}
	return RAG_OK;
}
