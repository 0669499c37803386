#include "config.h"
#include "index/filter_impl.h"

#include <string.h>

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

bool filter_glob_range(const char *glob, const char *s, size_t n, bool path)
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
	return filter_glob_range(glob, s, strlen(s), path);
}
