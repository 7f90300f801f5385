"""LabelMe: a JSON file for each photo, beside it, with polygons and masks drawn in version 5 and later.

    DST/<key>.json
    DST/<key>.jpg

Polygons run through the centres of the outermost pixels, as LabelMe fills them with their outline: by Pillow,
which is asked here too. A mask of pieces without holes is polygons that share a `group_id`; any other is a
`mask` shape, a small PNG, which holds it exactly. Scores are further keys of a shape, which LabelMe keeps.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anymask.core.mask import Mask
from anymask.core.outlines import through_pixels
from anymask.core.polygons import coco_rings, trace
from anymask.data.formats.contents import Contents, Fields, Notes, category_of, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import JsonFile, each_object, objects_in, read_object, write_beside
from anymask.data.formats.photo_writer import photo_name
from anymask.data.listing import Photos, find_photo, list_files, photos_by_stem, size_of, stem, with_suffix
from anymask.data.record import Annotation, Blob, Record, annotation_of, box_annotation
from anymask.errors import BadInput, mapped
from anymask.settings import get_settings

VERSION = "5.5.0"  # the first whose files look like ours in every key
LABELME_KEYS = {"shapes", "imagePath"}, {"shapes", "imageHeight"}  # either
OUTLINES = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")  # the last two are of X-AnyLabeling
WITHOUT_AREA = ("point", "points", "line", "linestrip")
NO_AREA = "shapes without an area (points, lines) passed over"
NO_LABELME = "JSON files that are not of LabelMe passed over"
NO_PHOTO_IN = "imageData that is no image passed over"
OTHER_SIZE = "photos that are not of the size their LabelMe file gives"
MAX_POLYGONS = 100  # for one mask; of more pieces it is a mask shape
CENTRE = 31 / 64  # of a pixel, under a half: readers that round find the pixel, and those that cut
MAX_CANVAS = 1 << 25  # pixels; of larger photos only what is around a shape is painted
