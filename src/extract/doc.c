#include "config.h"

#include "src/extract/doc.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

#define MAX_SPACES 64	/* of an indent; a wider one carries no meaning */

int doc_init(struct doc *d)
{
	memset(d, 0, sizeof(*d));
	d->text.max = FRAME_MAX_TEXT;
	d->marks.max = FRAME_MAX_MARK_BYTES;
	d->about.max = FRAME_MAX_ABOUT;
	d->heading_at = SIZE_MAX;
	return RAG_OK;
}

void doc_release(struct doc *d)
{
	buf_release(&d->text);
	buf_release(&d->marks);
	buf_release(&d->title);
	buf_release(&d->about);
}

static int too_long(int rc)
{
	if (rc == RAG_ELIMIT)
		err_set(rc, "more than %zu MiB of text", FRAME_MAX_TEXT >> 20);
	return rc;
}

static int mark(struct doc *d, enum frame_mark kind, uint32_t value, size_t at, const char *label,
		size_t len)
{
	unsigned char m[FRAME_MARK] = { 0 };
	int rc;

	if (d->n_marks == FRAME_MAX_MARKS)
		return err_set(RAG_ELIMIT, "more than %zu headings and pages", FRAME_MAX_MARKS);
	if (len > FRAME_MAX_LABEL)
		len = utf8_floor(label, len, FRAME_MAX_LABEL);
	frame_put(m, at, 8);
	frame_put(m + 8, value, 4);
	m[12] = (unsigned char)kind;
	frame_put(m + 14, len, 2);
	rc = buf_add(&d->marks, m, sizeof(m));
	if (!rc && len)
		rc = buf_add(&d->marks, label, len);
	if (!rc)
		d->n_marks++;
	return rc;
}

/* Writes what is owed in front of a character that shows. */
static int settle(struct doc *d)
{
	int rc = RAG_OK;

	if (d->text.len && d->breaks)
		rc = buf_add(&d->text, "\n\n", (size_t)d->breaks);
	if (!rc && d->spaces && (d->spaces > 1 || (d->text.len && !d->breaks)))
		for (size_t i = 0; !rc && i < d->spaces; i++)
			rc = buf_addc(&d->text, ' ');
	d->breaks = 0;
	d->spaces = 0;
	if (!rc && d->page) {
		rc = mark(d, MARK_PAGE, d->page, d->text.len, NULL, 0);
		d->page = 0;
	}
	if (d->level && d->heading_at == SIZE_MAX)
		d->heading_at = d->text.len;
	return rc;
}

/* Characters that show nothing and could hide words from a reader: controls, the
 * byte order mark, soft hyphens, zero width space and joiner-less fillers,
 * direction overrides, tag characters. */
static bool unseen(uint32_t c)
{
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x200B || c == 0x2060 ||
	       c == 0xFEFF || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
	       (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

int doc_text(struct doc *d, const char *s, size_t n)
{
	int rc = RAG_OK;

	for (size_t i = 0, k; !rc && i < n; i += k) {
		uint32_t c = utf8_next(s + i, n - i, &k);

		if (c == ' ' || (c >= '\t' && c <= '\r') || (c > 0x7F && utf8_is_space(c))) {
			d->spaces = 1;
			continue;
		}
		if (unseen(c))
			continue;
		if (d->breaks || d->spaces || d->page || d->level || !d->text.len)
			rc = settle(d);
		if (!rc)
			rc = buf_add(&d->text, s + i, k);
	}
	return too_long(rc);
}

int doc_raw(struct doc *d, const char *s, size_t n, bool pages)
{
	int rc = RAG_OK;

	for (size_t i = 0, k; !rc && i < n; i += k) {
		uint32_t c = utf8_next(s + i, n - i, &k);

		if (c == '\r' && i + 1 < n && s[i + 1] == '\n')
			continue;
		if (c == '\n' || c == '\r' || c == '\v' || c == 0x85 || c == 0x2028 || c == 0x2029) {
			if (d->breaks < 2)
				d->breaks++;
			d->spaces = 0;
		} else if (c == '\f') {
			if (pages)
				d->page = ++d->last_page;
			d->breaks = 2;
			d->spaces = 0;
		} else if (c == '\t') {
			d->spaces = d->spaces + 4 < MAX_SPACES ? d->spaces + 4 : MAX_SPACES;
		} else if (c == ' ' || (c > 0x7F && utf8_is_space(c))) {
			if (d->spaces < MAX_SPACES)
				d->spaces++;
		} else if (!unseen(c)) {
			if (d->breaks || d->spaces || d->page || d->level || !d->text.len)
				rc = settle(d);
			if (!rc)
				rc = buf_add(&d->text, s + i, k);
		}
	}
	return too_long(rc);
}

void doc_line(struct doc *d)
{
	if (d->breaks < 1)
		d->breaks = 1;
	d->spaces = 0;
}

void doc_para(struct doc *d)
{
	d->breaks = 2;
	d->spaces = 0;
}

void doc_page(struct doc *d, uint32_t page)
{
	doc_para(d);
	d->page = d->last_page = page;
}

void doc_heading(struct doc *d, int level)
{
	doc_para(d);
	d->level = level;
	d->heading_at = SIZE_MAX;
}

int doc_heading_end(struct doc *d)
{
	int rc = RAG_OK, level = d->level;
	size_t at = d->heading_at;

	d->level = 0;
	d->heading_at = SIZE_MAX;
	if (level && at != SIZE_MAX) {
		struct buf label = BUF_INIT;

		/* A heading over several lines is one label. */
		rc = buf_add(&label, d->text.data + at, d->text.len - at);
		for (size_t i = 0; !rc && i < label.len; i++)
			if (label.data[i] == '\n')
				label.data[i] = ' ';
		if (!rc)
			rc = mark(d, MARK_HEADING, (uint32_t)level, at, label.data, label.len);
		buf_release(&label);
	}
	doc_para(d);
	return rc;
}

/* Appends s as one line of running text, at most max bytes. */
static int add_line(struct buf *out, const char *s, size_t n, size_t max)
{
	struct doc clean;
	int rc;

	doc_init(&clean);
	rc = doc_text(&clean, s, n);
	n = clean.text.len > max ? utf8_floor(clean.text.data, clean.text.len, max) : clean.text.len;
	if (!rc && n)
		rc = buf_add(out, clean.text.data, n);
	doc_release(&clean);
	return rc;
}

int doc_title(struct doc *d, const char *s, size_t n)
{
	return d->title.len ? RAG_OK : add_line(&d->title, s, n, FRAME_MAX_TITLE);
}

/* Is line (with its '\n') among the lines? */
static bool has_line(const struct buf *lines, const struct buf *line)
{
	for (const char *p = buf_str(lines); (p = strstr(p, buf_str(line))) != NULL; p++)
		if (p == lines->data || p[-1] == '\n')
			return true;
	return false;
}

int doc_about(struct doc *d, const char *key, const char *value, size_t n)
{
	struct buf line = BUF_INIT;
	size_t eq;
	int rc = add_line(&line, key, strlen(key), FRAME_MAX_LABEL);

	for (size_t i = 0; i < line.len; i++) {
		char c = line.data[i];

		if (c >= 'A' && c <= 'Z')
			line.data[i] = (char)(c + ('a' - 'A'));
		else if (strchr("=!<>~()[],&|\"' ", c))
			line.data[i] = '_';
	}
	eq = line.len;
	if (!rc && eq)
		rc = buf_addc(&line, '=');
	if (!rc && eq)
		rc = add_line(&line, value, n, FRAME_MAX_VALUE);
	if (!rc && eq && line.len > eq + 1) {
		rc = buf_addc(&line, '\n');
		if (!rc && !has_line(&d->about, &line))
			rc = buf_add(&d->about, line.data, line.len);
	}
	buf_release(&line);
	if (rc == RAG_ELIMIT) {
		rc = RAG_OK;
		if (!d->warning[0])
			snprintf(d->warning, sizeof(d->warning), "more than %zu KiB of metadata: '%.100s' is left out",
				 FRAME_MAX_ABOUT >> 10, key);
	}
	return rc;
}

int doc_about_list(struct doc *d, const char *key, const char *value, size_t n, const char *separators)
{
	int rc = RAG_OK;

	for (size_t i = 0, from = 0; !rc && i <= n; i++) {
		if (i < n && !strchr(separators, value[i]))
			continue;
		rc = doc_about(d, key, value + from, i - from);
		from = i + 1;
	}
	return rc;
}

int doc_finish(struct doc *d)
{
	const unsigned char *m = (const unsigned char *)d->marks.data;

	for (size_t i = 0; i < d->n_marks && !d->title.len; i++) {
		size_t len = (size_t)frame_get(m + 14, 2);

		if (m[12] == MARK_HEADING && frame_get(m + 8, 4) == 1)
			return doc_title(d, (const char *)m + FRAME_MARK, len);
		m += FRAME_MARK + len;
	}
	return RAG_OK;
}
