"""The classes of the drawn scenes."""

from __future__ import annotations

from enum import IntEnum


class SceneClass(IntEnum):
    """Labels of the scenes."""

    BACKGROUND = 0
    GRASS = 1
    WATER = 2
    ROAD = 3
    TREE = 4
    BUSH = 5
    HOUSE = 6
    WALL = 7
    CAR = 8
    BOAT = 9
    COW = 10
    DOG = 11


#: The colour that stands for each class in masks.
COLOURS = {
    SceneClass.BACKGROUND: (0, 0, 0),
    SceneClass.GRASS: (96, 160, 48),
    SceneClass.WATER: (48, 112, 192),
    SceneClass.ROAD: (144, 144, 144),
    SceneClass.TREE: (0, 96, 48),
    SceneClass.BUSH: (160, 208, 112),
    SceneClass.HOUSE: (176, 48, 48),
    SceneClass.WALL: (224, 160, 112),
    SceneClass.CAR: (240, 208, 32),
    SceneClass.BOAT: (240, 112, 16),
    SceneClass.COW: (112, 64, 144),
    SceneClass.DOG: (224, 128, 208),
}
