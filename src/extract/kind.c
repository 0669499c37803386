#include "config.h"

#include "src/extract/kind.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"

#define SNIFF 1024	/* bytes looked at for HTML, as browsers do */

/* Kinds that people will try, by name, so that the message helps. */
static const struct magic {
	size_t at, n;
	const char *bytes, *what;
} magics[] = {
	{ 0, 4, "PK\3\4", "a ZIP archive or office document" },
	{ 0, 4, "PK\5\6", "a ZIP archive" },
	{ 0, 4, "PK\7\10", "a ZIP archive" },
	{ 0, 8, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old office document" },
	{ 0, 5, "{\\rtf", "a rich text document" },
	{ 0, 2, "\x1F\x8B", "a gzip archive" },
	{ 0, 3, "BZh", "a bzip2 archive" },
	{ 0, 6, "\xFD" "7zXZ\0", "an xz archive" },
	{ 0, 6, "7z\xBC\xAF\x27\x1C", "a 7z archive" },
	{ 0, 4, "\x28\xB5\x2F\xFD", "a zstd archive" },
	{ 0, 7, "Rar!\x1A\x07", "a RAR archive" },
	{ 257, 5, "ustar", "a tar archive" },
	{ 0, 8, "\x89PNG\r\n\x1A\n", "a PNG image" },
	{ 0, 3, "\xFF\xD8\xFF", "a JPEG image" },
	{ 0, 4, "GIF8", "a GIF image" },
	{ 0, 4, "II*\0", "a TIFF image" },
	{ 0, 4, "MM\0*", "a TIFF image" },
	{ 8, 4, "WEBP", "a WebP image" },
	{ 0, 4, "\x7F" "ELF", "a program" },
	{ 0, 4, "\xCF\xFA\xED\xFE", "a program" },
	{ 0, 16, "SQLite format 3\0", "an SQLite database" },
	{ 0, 4, "OggS", "an Ogg recording" },
	{ 0, 3, "ID3", "an MP3 recording" },
	{ 4, 4, "ftyp", "a video" },
	{ 0, 4, "ITSF", "a compiled help file" },
	{ 0, 4, "%!PS", "a PostScript document" },
	{ 0, 4, "wOFF", "a font" },
	{ 0, 5, "\0\1\0\0\0", "a font" },
	{ 0, 5, "GGUF\3", "a model" },
};

static bool type_is(const char *type, const char *want)
{
	size_t n = strlen(want);

	return !strncasecmp(type, want, n) && (!type[n] || strchr("; \t", type[n]));
}

static bool name_ends(const char *name, const char *const *ends)
{
	size_t n = strlen(name);

	for (; *ends; ends++) {
		size_t k = strlen(*ends);

		if (n > k && !strcasecmp(name + n - k, *ends))
			return true;
	}
	return false;
}

static bool looks_html(const char *s, size_t n)
{
	static const char *const starts[] = {
		"<!doctype html", "<html", "<head", "<body", "<title", "<meta", "<!-- saved from url",
	};
	const char *end = s + (n < SNIFF ? n : SNIFF), *p = s;

	if (n >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3))
		p += 3;
	for (;;) {
		while (p < end && strchr(" \t\r\n\f", *p) && *p)
			p++;
		/* An XML declaration or a comment may come first. */
		if (end - p > 5 && !memcmp(p, "<?xml", 5)) {
			while (p < end && *p != '>')
				p++;
			p += p < end;
			continue;
		}
		break;
	}
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if ((size_t)(end - p) > strlen(starts[i]) && !strncasecmp(p, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static enum frame_kind none(const char *what)
{
	err_set(RAG_EUNSUP, "not text: %s", what);
	return KIND_NONE;
}

enum frame_kind kind_of(const struct input *in)
{
	static const char *const markdown[] = { ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdx", NULL };
	static const char *const html[] = { ".html", ".htm", ".xhtml", ".xht", NULL };
	static const char *const pdf[] = { ".pdf", NULL };
	const char *type = in->type;

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		const struct magic *m = &magics[i];

		if (in->len >= m->at + m->n && !memcmp(in->data + m->at, m->bytes, m->n))
			return none(m->what);
	}
	if (type_is(type, "application/pdf"))
		return KIND_PDF;
	if (type_is(type, "text/html") || type_is(type, "application/xhtml+xml"))
		return KIND_HTML;
	if (type_is(type, "text/markdown") || type_is(type, "text/x-markdown"))
		return KIND_MARKDOWN;
	if (!strncasecmp(type, "image/", 6) || !strncasecmp(type, "audio/", 6) ||
	    !strncasecmp(type, "video/", 6) || !strncasecmp(type, "font/", 5)) {
		err_set(RAG_EUNSUP, "not text: of type '%.60s'", type);
		return KIND_NONE;
	}
	if (name_ends(in->name, markdown))
		return KIND_MARKDOWN;
	if (type_is(type, "text/plain"))
		return KIND_TEXT;
	if (name_ends(in->name, pdf))
		return KIND_PDF;
	if (name_ends(in->name, html) || looks_html(in->data, in->len))
		return KIND_HTML;
	return KIND_TEXT;
}
